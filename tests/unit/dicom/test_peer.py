"""Addresses, titles and statuses of peers, and the addresses at which a receiver may listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.dicom.peer import Peer, TlsFiles, accepts, ae_title
from edge_runtime.dicom.receiver import Listening
from edge_runtime.errors import UsageError


@pytest.mark.parametrize(
    "text, found",
    [
        ("ORTHANC@127.0.0.1:4242", ("ORTHANC", "127.0.0.1", 4242)),
        ("MY PACS@pacs.site:104", ("MY PACS", "pacs.site", 104)),
        ("A@[::1]:11112", ("A", "::1", 11112)),
    ],
)
def test_peers_that_are_named_rightly(text: str, found: tuple[str, str, int]) -> None:
    peer = Peer.parse(text, "OWN")
    assert (peer.title, peer.host, peer.port) == found


@pytest.mark.parametrize(
    "text", ["", "A", "A@host", "A@host:0", "A@host:65536", "@host:1", "A@:1", "A@::1:1", "SEVENTEEN-LETTERS@h:1"]
)
def test_peers_that_are_not(text: str) -> None:
    with pytest.raises(UsageError):
        Peer.parse(text, "OWN")


@pytest.mark.parametrize("text", ["", " A", "A ", "A\\B", "A\nB", "Ä", "12345678901234567"])
def test_titles_that_are_not_valid(text: str) -> None:
    with pytest.raises(UsageError):
        ae_title(text)


def test_which_statuses_mean_that_the_peer_has_the_instance() -> None:
    assert all(map(accepts, (0x0000, 0xB000, 0xB006, 0xB007)))
    assert not any(map(accepts, (None, 0xA700, 0xA900, 0xC000, 0x0110, 0x0122)))


def test_other_machines_need_titles_and_tls() -> None:
    tls = TlsFiles(Path("cert.pem"), Path("key.pem"))
    for host in ("127.0.0.1", "::1", "localhost"):
        Listening("EDGE", host, 1).check()
    Listening("EDGE", "10.0.0.1", 1, ("US",), tls).check()
    Listening("EDGE", "10.0.0.1", 1, trusted_network=True).check()
    for callers, files in (((), None), (("US",), None), ((), tls)):
        with pytest.raises(UsageError, match="--trusted-network"):
            Listening("EDGE", "10.0.0.1", 1, callers, files).check()


def test_files_for_tls_that_are_wrong_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for files in (TlsFiles(), TlsFiles(wrong, wrong), TlsFiles(tmp_path / "none", tmp_path / "none")):
        with pytest.raises(UsageError, match=r"--tls-cert|wrong\.pem|none"):
            files.server()
    for authority in (tmp_path / "none", wrong):
        with pytest.raises(UsageError):
            TlsFiles(authority=authority).client()
