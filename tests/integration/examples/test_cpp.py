"""The C++ client, the device's main loop and the Qt example, built with warnings as errors, against a real service."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import pytest

from tests.debian_packages import need
from tests.integration.examples.conftest import CIRCLE, MODEL, REGION_MODEL, StandIn, predicted, steady
from tests.places import ROOT
from tests.serving import serving
from tests.unit.bundle.shipped_bundle import VERSION

SOURCE = ROOT / "examples" / "cpp"
PACKAGES = ("cmake", "g++", "make", "pkg-config", "libcpp-httplib-dev", "nlohmann-json3-dev")
Client = Callable[..., subprocess.CompletedProcess[str]]


def build(folder: Path, *options: str) -> Path:
    for command in (("cmake", "-S", str(SOURCE), "-B", str(folder), *options), ("cmake", "--build", str(folder))):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(*PACKAGES)
    return build(tmp_path_factory.mktemp("cpp"), "-DEDGE_VECTORS=OFF")


@pytest.fixture(scope="module")
def client(programs: Path) -> Client:
    def run(socket: Path, *arguments: str | Path, model: str = MODEL) -> subprocess.CompletedProcess[str]:
        command = [programs / "edge-client", "--socket", socket, "--model", model, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)

    return run


def test_a_good_image_has_the_answer_of_edge_predict(client: Client, socket: Path, images: Path, contract: str) -> None:
    good = images / "good.png"
    done = client(socket, "--json", "--expect-version", VERSION, "--expect-contract", contract, good)
    assert (done.returncode, done.stderr) == (0, "")
    assert steady(done.stdout) == predicted("--model", MODEL, str(good))
    told = client(socket, good)
    assert told.stdout == f"{good}: POSITIVE (ABOVE_CUTOFF), score 0.926158\n"


def test_a_refused_image_is_told_and_the_next_one_answered(client: Client, socket: Path, images: Path) -> None:
    done = client(socket, "--json", images / "cut.png", images / "good.png")
    refused, answered = done.stdout.splitlines()
    assert done.returncode == 1
    assert "no answer [image_truncated]" in done.stderr
    expected = predicted("--model", MODEL, str(images / "cut.png"))
    found = steady(refused)
    assert found["error"]["code"] == expected["error"]["code"] == "image_truncated"
    assert found["sha256"] == expected["sha256"]
    assert steady(answered)["decision"] == "POSITIVE"


def test_an_unfamiliar_image_is_referred(client: Client, socket: Path, images: Path) -> None:
    done = client(socket, images / "noise.png")
    assert done.returncode == 0
    assert "REFER (UNFAMILIAR_INPUT)" in done.stdout


def test_a_region_reaches_the_model_exactly(client: Client, socket: Path, images: Path) -> None:
    film = images / "film.png"
    done = client(socket, "--json", "--region", CIRCLE, film, model=REGION_MODEL)
    assert done.returncode == 0, done.stderr
    assert steady(done.stdout) == predicted("--model", REGION_MODEL, "--region", CIRCLE, str(film))
    missing = client(socket, film, model=REGION_MODEL)
    assert (missing.returncode, "region_missing" in missing.stderr) == (2, True)


def test_a_heatmap_is_an_image_of_the_same_size(client: Client, socket: Path, images: Path, tmp_path: Path) -> None:
    done = client(socket, "--heatmap", tmp_path / "map.png", images / "good.png")
    assert done.returncode == 0, done.stderr
    heatmap = cv2.imread(str(tmp_path / "map.png"), cv2.IMREAD_UNCHANGED)
    assert heatmap is not None and heatmap.shape == (50, 50, 4)


@pytest.mark.parametrize(
    "option", [("--expect-version", "9.9.9"), ("--expect-contract", "0" * 64), ("--model", "another")]
)
def test_another_model_than_expected_gives_no_answer(
    client: Client, socket: Path, images: Path, option: tuple[str, str]
) -> None:
    done = client(socket, *option, images / "good.png")
    assert (done.returncode, done.stdout) == (3, "")
    assert re.search(r"error \[model_(differs|not_served)\]", done.stderr)


def test_a_model_that_is_exchanged_meanwhile_is_noticed(client: Client, stand_in: StandIn, images: Path) -> None:
    stand_in.answer = stand_in.answer.replace(b'"c"', b'"another"')
    done = client(Path(str(stand_in.server_address)), "--expect-contract", "c", images / "good.png")
    assert (done.returncode, "[model_differs]" in done.stderr) == (3, True)


def test_a_full_queue_is_tried_again_when_the_service_says(client: Client, stand_in: StandIn, images: Path) -> None:
    stand_in.planned = [(503, {"Retry-After": "1"}), (503, {"Retry-After": "1"}), (200, {})]
    began = time.monotonic()
    done = client(Path(str(stand_in.server_address)), images / "good.png")
    assert (done.returncode, len(stand_in.asked)) == (0, 3), done.stderr
    assert time.monotonic() - began >= 2


def test_attempts_are_bounded(client: Client, stand_in: StandIn, images: Path) -> None:
    stand_in.planned = [(503, {"Retry-After": "0"})]
    done = client(Path(str(stand_in.server_address)), "--attempts", "3", images / "good.png")
    assert (done.returncode, len(stand_in.asked)) == (6, 3)
    assert "error [busy]: the queue is full" in done.stderr


@pytest.mark.parametrize(("code", "status"), [("model_not_ready", 4), ("selftest_failed", 4), ("machine_memory", 6)])
def test_the_status_says_why_there_is_no_answer(
    client: Client, stand_in: StandIn, images: Path, code: str, status: int
) -> None:
    stand_in.planned, stand_in.code = [(503, {})], code
    done = client(Path(str(stand_in.server_address)), images / "good.png")
    assert (done.returncode, len(stand_in.asked)) == (status, 1), "no Retry-After: not asked again"


def test_a_connection_lost_within_a_request_is_opened_again(client: Client, stand_in: StandIn, images: Path) -> None:
    stand_in.planned = [(0, {}), (200, {})]
    done = client(Path(str(stand_in.server_address)), images / "good.png")
    assert (done.returncode, len(stand_in.asked)) == (0, 2), done.stderr


def test_a_service_with_a_full_queue_says_so_to_some(client: Client, images: Path, tmp_path: Path) -> None:
    uds = tmp_path / "s"
    with serving(tmp_path / "log", MODEL, "--uds", str(uds), "--queue", "0"):
        assert client(uds, images / "good.png").returncode == 0  # the self-test has passed

        def ask(number: int) -> tuple[int, str]:
            done = client(uds, "--attempts", "1", images / "large.png")
            return done.returncode, done.stderr

        with ThreadPoolExecutor(8) as pool:
            once = list(pool.map(ask, range(8)))
            patient = list(pool.map(lambda _: client(uds, images / "good.png").returncode, range(4)))
    assert {status for status, _ in once} == {0, 6}
    assert all(re.search(r"error \[(busy|queue_full)\]", told) for status, told in once if status)
    assert patient == [0] * 4


def test_without_a_service_the_client_gives_up(client: Client, images: Path, tmp_path: Path) -> None:
    done = client(tmp_path / "nothing", "--attempts", "2", images / "good.png")
    assert (done.returncode, "error [connection]" in done.stderr) == (6, True)


def test_a_service_that_starts_late_is_waited_for(client: Client, images: Path, tmp_path: Path) -> None:
    uds = tmp_path / "s"
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client, uds, "--attempts", "8", images / "good.png")
        with serving(tmp_path / "log", MODEL, "--uds", str(uds)):
            done = pending.result()
    assert (done.returncode, "POSITIVE" in done.stdout) == (0, True), done.stderr


def test_usage_errors_have_a_status_of_their_own(client: Client, socket: Path, images: Path) -> None:
    for wrong in (("--region", "1,2"), ("--unknown", "1"), ("--region",), (images / "absent.png",), ()):
        assert client(socket, *wrong).returncode == 2


def loop(programs: Path, socket: Path, contract: str, image: Path, *numbers: int) -> list[str]:
    command = [programs / "device-loop", socket, MODEL, contract, image, *numbers]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_main_loop_accounts_for_every_frame(programs: Path, socket: Path, contract: str, images: Path) -> None:
    calm = loop(programs, socket, contract, images / "good.png", 10, 60, 4)
    assert calm[-1] == "10 frames: 10 answered, 0 failed, 0 not accepted"
    fast = loop(programs, socket, contract, images / "large.png", 10, 1, 2)
    found = re.fullmatch(r"10 frames: (\d+) answered, (\d+) failed, (\d+) not accepted", fast[-1])
    assert found is not None and int(found[3]) > 0


def test_the_main_loop_goes_on_without_a_service(programs: Path, contract: str, images: Path, tmp_path: Path) -> None:
    lines = loop(programs, tmp_path / "nothing", contract, images / "good.png", 5, 10, 2)
    assert "frame 0: not assessed, connection" in lines
    assert re.search("0 answered", lines[-1])


def test_a_contract_that_differs_gives_no_answers(programs: Path, socket: Path, images: Path) -> None:
    lines = loop(programs, socket, "0" * 64, images / "good.png", 2, 50, 2)
    assert lines[0] == "frame 0: not assessed, model_differs"


def test_qt_gets_answers_as_signals(socket: Path, contract: str, images: Path, tmp_path: Path) -> None:
    if shutil.which("qmake6") is None:
        pytest.skip("install Debian's package qt6-base-dev")
    need(*PACKAGES)
    build(tmp_path, "-DEDGE_QT=ON", "-DEDGE_VECTORS=OFF")
    for model, answer in ((contract, "POSITIVE 0.926158\n"), ("0" * 64, "not assessed: model_differs\n")):
        command = [str(tmp_path / "qt-classifier"), str(socket), MODEL, model, str(images / "good.png")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout == answer
