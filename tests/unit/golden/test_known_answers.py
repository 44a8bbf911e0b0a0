"""Before a file's answers are trusted here it has given the known ones, once for each interpreter and processor."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime import BackendError, Precision, Predictor, Runtime
from edge_runtime.bundle.bundle import find
from edge_runtime.cli.predict import main
from edge_runtime.errors import KnownAnswersError
from edge_runtime.golden import known_answers, known_answers_cache
from edge_runtime.inference.backends import litert
from edge_runtime.platform.processor import identity_in
from edge_runtime.selftest.certificate import Step
from edge_runtime.selftest.replay import selftest
from tests.places import ROOT

BUNDLE = "idc-patch-compact"
PHANTOM = ROOT / "docs" / "phantom.png"
Spoil = Callable[..., None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Let files of some precisions answer otherwise than where the bundle was made, as a faulty kernel does."""
    sizes = {entry.size_bytes: entry.precision for entry in find(BUNDLE).manifest.files if entry.precision}

    def spoiled(*precisions: Precision, by: float = 1.0) -> None:
        start, run = litert._start, litert.LiteRtBackend._run_one

        def started(interpreter_class: type, model: bytes, threads: int) -> object:
            made = start(interpreter_class, model, threads)
            if sizes[len(model)] in precisions:
                faulty.append(made)
            return made

        def wrong(self: litert.LiteRtBackend, tensor: np.ndarray) -> np.ndarray:
            return run(self, tensor) + np.float32(by if self._interpreter in faulty else 0.0)

        faulty: list[object] = []
        monkeypatch.setattr(litert, "_start", started)
        monkeypatch.setattr(litert.LiteRtBackend, "_run_one", wrong)

    return spoiled


def _load(**options: object) -> Predictor:
    return Predictor.load(BUNDLE, backend=Runtime.LITERT, **options)  # type: ignore[arg-type]


def _replays(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each replay."""
    seen: list[str] = []
    replayed = known_answers._replayed

    def counted(bundle: object, entry: object, *rest: object) -> tuple[float, float]:
        seen.append(entry.name)  # type: ignore[attr-defined]
        return replayed(bundle, entry, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(known_answers, "_replayed", counted)
    return seen


def test_a_file_is_replayed_at_the_first_start_and_not_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _replays(monkeypatch)
    with _load() as first, _load() as second:
        found, again = first.known_answers[Precision.INT8], second.known_answers[Precision.INT8]
    assert seen == ["model.int8.tflite"]
    assert found.passed and found.kept and found.ms is not None
    assert again.passed and again.ms is None and again.difference == found.difference
    (stamp,) = (cache / "edge-predict" / "known-answers").iterdir()
    assert stamp.read_text(encoding="ascii").split()[0] == stamp.name


def test_the_difference_is_the_one_that_a_certificate_names(cache: Path, spoil: Spoil) -> None:
    spoil(Precision.INT8, by=0.0625)
    with _load() as predictor:
        found = predictor.known_answers[Precision.INT8]
    checks = selftest(find(BUNDLE)).checks
    (row,) = [check for check in checks if check.subject == "model.int8.tflite" and check.step is Step.LOGITS]
    assert row.difference == pytest.approx(found.difference, rel=1e-3)
    assert row.tolerance == found.tolerance
    assert found.difference == pytest.approx(0.0625, abs=1e-3)


def test_float32_answers_where_int8_differs_and_every_answer_says_so(cache: Path, spoil: Spoil) -> None:
    with _load(precision=Precision.FLOAT32) as exact:
        expected = exact.predict(str(PHANTOM)).verdict
    spoil(Precision.INT8)
    for _ in range(2):  # replayed, and from the stamp
        with _load() as predictor:
            found = predictor.predict(str(PHANTOM))
            assert found.verdict == expected
            assert (found.precision, found.to_dict()["fallback"]) == ("float32", "KNOWN_ANSWERS_DIFFER")
            assert predictor.precision is Precision.FLOAT32
            slide = predictor.predict_tiles(np.full((50, 100, 3), 200, np.uint8), workers=1)
            assert (slide.precision, slide.to_dict()["fallback"]) == ("float32", "KNOWN_ANSWERS_DIFFER")


@pytest.mark.parametrize(
    "options, said",
    [
        ([], "fallback to float32: the int8 logits differ on this machine"),
        (["--csv"], ",KNOWN_ANSWERS_DIFFER"),
        (["--json"], '"fallback": "KNOWN_ANSWERS_DIFFER"'),
    ],
)
def test_the_command_says_so_in_every_form(cache: Path, spoil: Spoil, options: list[str], said: str) -> None:
    spoil(Precision.INT8)
    done = CliRunner().invoke(main, [str(PHANTOM), "--backend", "litert", *options])
    assert done.exit_code == 0
    assert said in done.stdout
    assert "model.int8.tflite: its logits on this machine differ from the known ones by" in done.stderr


def test_a_command_without_a_fault_says_nothing_in_a_pipe(cache: Path) -> None:
    done = CliRunner().invoke(main, [str(PHANTOM), "--model", BUNDLE, "--microns-per-pixel", "4", "--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "fallback" not in json.loads(done.stdout)


def test_where_float32_differs_too_nothing_answers(cache: Path, spoil: Spoil) -> None:
    spoil(Precision.INT8, Precision.FLOAT32)
    with pytest.raises(KnownAnswersError, match=r"model\.float32\.tflite on litert .* expected at most 0\.0001"):
        _load()
    done = CliRunner().invoke(main, [str(PHANTOM), "--backend", "litert"])
    assert (done.exit_code, done.stdout) == (4, "")
    assert "error [known_answers]" in done.stderr


def test_a_float32_file_that_differs_decides_nothing_near_a_threshold(cache: Path, spoil: Spoil) -> None:
    spoil(Precision.FLOAT32)
    with _load() as predictor:
        assert predictor.precision is Precision.INT8
        with pytest.raises(BackendError, match="float32"):
            predictor._engines.first.exact  # noqa: B018


def test_a_file_that_gives_no_numbers_is_not_trusted(cache: Path, spoil: Spoil) -> None:
    spoil(Precision.INT8, by=float("nan"))
    with _load() as predictor:
        assert predictor.precision is Precision.FLOAT32
    with _load() as predictor:
        assert predictor.precision is Precision.FLOAT32, "the stamp forgot it"


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xfe", b"0 0 0", b"a" * 10_000])
def test_a_stamp_that_says_something_else_is_no_stamp(
    cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    with _load():
        (stamp,) = (cache / "edge-predict" / "known-answers").iterdir()
    stamp.write_bytes(content)
    seen = _replays(monkeypatch)
    with _load():
        assert seen == ["model.int8.tflite"]


def test_without_a_cache_that_can_be_written_every_start_replays(
    cache: Path, monkeypatch: pytest.MonkeyPatch, spoil: Spoil
) -> None:
    cache.write_bytes(b"a file where a folder is wanted")
    seen = _replays(monkeypatch)
    for _ in range(2):
        with _load() as predictor:
            found = predictor.known_answers[Precision.INT8]
            assert found.passed and not found.kept and found.ms is not None
    assert len(seen) == 2


@pytest.mark.parametrize("changed", ["interpreter", "processor", "release"])
def test_another_interpreter_processor_or_release_is_checked_anew(
    cache: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    with _load():
        pass
    if changed == "interpreter":
        monkeypatch.setattr(litert, "_version", lambda _: "9.9.9")
    elif changed == "processor":
        monkeypatch.setattr(known_answers_cache, "processor_identity", lambda: "another")
    else:
        monkeypatch.setattr("edge_runtime.__version__", "9.9.9")
    seen = _replays(monkeypatch)
    with _load():
        assert seen == ["model.int8.tflite"]


def test_a_bundle_without_golden_vectors_answers_as_before(cache: Path, tmp_path: Path, spoil: Spoil) -> None:
    source = Path(find(BUNDLE).where)
    copy = Path(shutil.copytree(source, tmp_path / "b"))
    manifest = json.loads((copy / "bundle.json").read_bytes())
    manifest["files"] = [entry for entry in manifest["files"] if entry["role"] != "golden"]
    (copy / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    spoil(Precision.INT8)
    with Predictor.load(str(copy), backend=Runtime.LITERT) as predictor:
        assert (predictor.precision, predictor.known_answers) == (Precision.INT8, {})


def test_a_processor_is_known_by_what_does_not_change_from_look_to_look() -> None:
    intel = "processor\t: {0}\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\ncpu MHz\t: {1}\nflags\t: fpu avx2\n\n"
    one = identity_in(intel.format(0, 1000) + intel.format(1, 2000))
    assert one == identity_in(intel.format(0, 3000))
    assert one != identity_in(intel.replace("avx2", "avx2 avx512_vnni").format(0, 1000))
    arm = "processor\t: {0}\nFeatures\t: fp asimd\nCPU part\t: {1}\n\nSerial\t\t: {2}\n"
    board = identity_in(arm.format(0, "0xd08", "00001"))
    assert board == identity_in(arm.format(0, "0xd08", "00002"))
    assert "Serial" not in board
    assert board != identity_in(arm.format(0, "0xd08", "1") + arm.format(1, "0xd03", "1")), "two kinds of core"
