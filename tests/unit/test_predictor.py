"""One image, many images, many threads: the same answer, and the float32 file where int8 is unsure."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format, Precision
from edge_runtime.decision.rule import margins
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import BackendError, ImageError, MachineError, UsageError
from edge_runtime.images import reader
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT, open_model
from edge_runtime.inference.prediction import Failure, Prediction, Timing
from edge_runtime.predictor import Predictor
from edge_runtime.preprocessing.preprocessor import Preprocessed, Preprocessor, preprocess
from tests.unit.decision.plain_decision import plain_verdict

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]
RUNTIMES = [Runtime.LITERT, Runtime.ONNXRUNTIME]


@pytest.fixture(params=RUNTIMES, ids=lambda runtime: runtime.value)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return request.param


@pytest.fixture
def banded(edited_bundle: Edit) -> Callable[[float], Path]:
    return lambda band: edited_bundle(lambda manifest: manifest.update(guard_band=band))


def untimed(answer: Prediction | Failure, image: str = "") -> object:
    """What must be equal whoever asks and however: all but name, time and the hash of what was given."""
    if isinstance(answer, Failure):
        return answer.error.code
    return dataclasses.replace(answer, image=image, ms=Timing(0, 0, 0), time="", sha256=None)


def test_an_answer_is_prepare_run_decide(phantom_bundle: Path, phantom_patches: list[Path], runtime: Runtime) -> None:
    bundle = find(phantom_bundle)
    spec, form = bundle.manifest.spec, FORMAT[runtime]
    files = {p: open_model(bundle.content(bundle.model(form, p)), runtime) for p in (Precision.INT8, Precision.FLOAT32)}  # type: ignore[arg-type]
    with Predictor.load(phantom_bundle, backend=runtime) as predictor:
        for path in phantom_patches[::5]:
            tensor = preprocess(read(path), spec.steps)[np.newaxis]
            logits = files[Precision.INT8].run(tensor)
            rerun = bool(margins(logits, spec)[0] <= bundle.manifest.guard_band)
            if rerun:
                logits = files[Precision.FLOAT32].run(tensor)
            found = predictor.predict(path)
            assert found.verdict == plain_verdict(logits[0], spec, rerun=rerun), path
            assert found.precision == ("float32" if rerun else "int8")
            assert (found.image, found.model, found.version) == (str(path), spec.name, spec.version)
            assert (found.backend, found.contract) == (runtime.value, spec.contract)
            assert (found.cutoff, found.confidence_floor) == (spec.policy.cutoff, spec.policy.confidence_floor)
            assert min(found.ms.decode, found.ms.prepare, found.ms.run) >= 0


def test_the_hash_of_an_array_is_of_its_values_when_it_was_predicted(phantom_bundle: Path) -> None:
    array = np.full((50, 50, 3), 243, np.uint8)
    expected = hashlib.sha256(b"uint8 50x50x3\n" + array.tobytes()).hexdigest()
    with Predictor.load(phantom_bundle) as predictor:
        found = [predictor.predict(array) for _ in range(3)]
    array[:] = 0
    assert {answer.sha256 for answer in found} == {expected}
    assert {answer.to_dict()["sha256"] for answer in found} == {expected}
    assert pickle.loads(pickle.dumps(found[0])) == found[0]
    assert dataclasses.replace(found[0], image="other").sha256 == expected


def test_the_hash_of_a_file_is_of_the_bytes_that_were_read(
    phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "replaced.png"
    path.write_bytes(phantom_patches[0].read_bytes())
    with Predictor.load(phantom_bundle) as predictor:
        found = predictor.predict(path)
        path.write_bytes(b"no image")
        failed = next(predictor.predict_all([path]))
    assert found.sha256 == hashlib.sha256(phantom_patches[0].read_bytes()).hexdigest()
    assert failed.sha256 == hashlib.sha256(b"no image").hexdigest()


def test_an_array_that_changes_while_it_is_classified_has_the_hash_of_what_was_classified(
    phantom_bundle: Path, phantom_patches: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = cv2.imread(str(phantom_patches[0]))
    levels = Preprocessor.levels

    def late(self: Preprocessor, image: DecodedImage) -> Preprocessed:
        array[:] = 0  # as a camera would that writes its next frame
        return levels(self, image)

    with Predictor.load(phantom_bundle) as predictor:
        expected = predictor.predict(array.copy(), order=ColourOrder.BGR)
        monkeypatch.setattr(Preprocessor, "levels", late)
        found = predictor.predict(array, order=ColourOrder.BGR)
    assert untimed(found) == untimed(expected) and found.sha256 == expected.sha256


def test_an_array_that_memory_cannot_hold_twice_is_no_fault_of_the_image(
    phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(pixels: object) -> None:
        raise MemoryError

    monkeypatch.setattr(reader, "unchanging", full)
    with Predictor.load(phantom_bundle) as predictor, pytest.raises(MachineError, match=r"^frame: ") as caught:
        predictor.predict(np.zeros((50, 50, 3), np.uint8), name="frame")
    assert caught.value.code == "machine_memory"


def test_path_bytes_and_arrays_give_the_same_answer(
    phantom_bundle: Path, phantom_patches: list[Path], runtime: Runtime
) -> None:
    with Predictor.load(str(phantom_bundle), backend=runtime) as predictor:
        for path in phantom_patches[::37]:
            bgr = cv2.imread(str(path))
            answers = [
                predictor.predict(path),
                predictor.predict(str(path)),
                predictor.predict(path.read_bytes()),
                predictor.predict(bgr, order=ColourOrder.BGR),
                predictor.predict(bgr[..., ::-1]),
                predictor.predict(np.ascontiguousarray(bgr[..., ::-1]), order=ColourOrder.RGB, name="named"),
            ]
            assert len({str(untimed(answer)) for answer in answers}) == 1
            assert [answer.image for answer in answers] == [str(path), str(path), "bytes", "array", "array", "named"]


def test_the_wrong_channel_order_gives_another_answer(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    with Predictor.load(phantom_bundle) as predictor:
        bgr = cv2.imread(str(phantom_patches[0]))
        right, wrong = predictor.predict(bgr, order=ColourOrder.BGR), predictor.predict(bgr, order=ColourOrder.RGB)
    assert right.verdict.scores != wrong.verdict.scores


def test_predict_all_keeps_the_order_and_goes_on_after_a_failure(
    phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    pixels = cv2.imread(str(phantom_patches[2]))
    sources = [phantom_patches[0], "missing.png", b"", phantom_patches[1], pixels / 255.0, None, pixels, b"text"]
    with Predictor.load(phantom_bundle) as predictor:
        answers = list(predictor.predict_all(sources))  # type: ignore[arg-type]
    shown = [answer.error.code if isinstance(answer, Failure) else "answer" for answer in answers]
    assert shown == [
        *("answer", "image_not_found", "image_empty", "answer"),
        *("image_array", "image_array", "answer", "image_format"),
    ]
    names = [str(phantom_patches[0]), "missing.png", "bytes", str(phantom_patches[1])]
    assert [answer.image for answer in answers] == [*names, "array", "source", "array", "bytes"]


def test_predict_all_answers_before_the_next_image_is_asked_for(
    phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    asked = []

    def images() -> Any:
        for path in phantom_patches[:3]:
            asked.append(path)
            yield path

    with Predictor.load(phantom_bundle) as predictor:
        for count, _ in enumerate(predictor.predict_all(images()), start=1):
            assert len(asked) == count


def test_a_image_that_is_refused_raises(phantom_bundle: Path, tmp_path: Path) -> None:
    with Predictor.load(phantom_bundle) as predictor, pytest.raises(ImageError) as caught:
        predictor.predict(tmp_path / "missing.png")
    assert caught.value.code == "image_not_found"


def test_eight_threads_answer_as_one(banded: Any, phantom_patches: list[Path], runtime: Runtime) -> None:
    """With a band that reruns many of the images, so that both files are opened and used at once."""
    with Predictor.load(banded(0.1), backend=runtime) as predictor, ThreadPoolExecutor(8) as pool:
        together = list(pool.map(predictor.predict, phantom_patches))
    with Predictor.load(banded(0.1), backend=runtime) as predictor:
        alone = list(predictor.predict_all(phantom_patches))
    for path, first, second in zip(phantom_patches, together, alone, strict=True):
        assert untimed(first) == untimed(second), path
    assert {answer.precision for answer in together} == {"int8", "float32"}


def test_interpreter_threads_do_not_change_a_decision(
    phantom_bundle: Path, phantom_patches: list[Path], runtime: Runtime
) -> None:
    found = []
    for threads in (1, 2):
        with Predictor.load(phantom_bundle, backend=runtime, threads=threads) as predictor:
            found.append([untimed(answer) for answer in predictor.predict_all(phantom_patches[::11])])
    assert found[0] == found[1]


def test_the_widest_guard_band_lets_float32_decide_everything(
    banded: Any, phantom_patches: list[Path], runtime: Runtime
) -> None:
    folder = banded(1.0)
    with (
        Predictor.load(folder, backend=runtime) as guarded,
        Predictor.load(folder, backend=runtime, precision=Precision.FLOAT32) as exact,
    ):
        for path in phantom_patches[::17]:
            found, expected = guarded.predict(path), exact.predict(path)
            assert (found.verdict.reason, found.precision) == (Reason.PRECISION_RERUN, "float32")
            assert (found.verdict.scores, found.verdict.decision) == (
                expected.verdict.scores,
                expected.verdict.decision,
            )
            assert expected.verdict.reason is not Reason.PRECISION_RERUN
            assert expected.precision == "float32"


def test_without_a_guard_band_int8_decides_everything(banded: Any, phantom_patches: list[Path]) -> None:
    with Predictor.load(banded(0.0)) as predictor:
        for answer in predictor.predict_all(phantom_patches):
            assert isinstance(answer, Prediction)
            assert answer.precision == "int8"
            assert answer.verdict.reason is not Reason.PRECISION_RERUN


@pytest.mark.parametrize("kept", [Precision.INT8, Precision.FLOAT32])
def test_a_precision_that_the_bundle_lacks_gives_way_to_the_other(
    kept: Precision, edited_bundle: Edit, phantom_patches: list[Path]
) -> None:
    def keep(manifest: dict[str, Any]) -> None:
        manifest["files"] = [entry for entry in manifest["files"] if entry["precision"] == kept.value]
        manifest["guard_band"] = 1.0

    folder = edited_bundle(keep)
    for wanted in Precision:
        with Predictor.load(folder, precision=wanted) as predictor:
            answer = predictor.predict(phantom_patches[0])
        assert predictor.precision is kept
        assert answer.precision == kept.value
        assert answer.verdict.reason is not Reason.PRECISION_RERUN


@pytest.mark.parametrize("form", Format)
def test_a_single_model_file_answers_alone(form: Format, phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    with Predictor.load(phantom_bundle / f"model.float32.{form.value}") as predictor:
        answer = predictor.predict(phantom_patches[0])
    assert answer.precision == "float32"
    assert answer.verdict.decision in Decision


def test_leaving_the_with_block_closes(phantom_bundle: Path, phantom_patches: list[Path], runtime: Runtime) -> None:
    with Predictor.load(phantom_bundle, backend=runtime) as predictor:
        predictor.predict(phantom_patches[0])
    with pytest.raises(BackendError, match="was closed"):
        predictor.predict(phantom_patches[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_network_without_numbers_is_never_a_decision(
    value: float, phantom_bundle: Path, phantom_patches: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Predictor.load(phantom_bundle) as predictor:
        monkeypatch.setattr(predictor._backend, "run", lambda _: np.array([[0, value]], np.float32))
        with pytest.raises(BackendError, match="NaN or infinity"):
            predictor.predict(phantom_patches[0])


def test_threads_below_one_cannot_be_used(phantom_bundle: Path) -> None:
    with pytest.raises(UsageError, match="threads=0"):
        Predictor.load(phantom_bundle, threads=0)


def test_an_open_file_is_no_image(phantom_bundle: Path) -> None:
    with Predictor.load(phantom_bundle) as predictor, pytest.raises(ImageError, match="found a BytesIO"):
        predictor.predict(io.BytesIO())  # type: ignore[arg-type]
