"""One image, as an array and as a file, by this package and by its peers with the same network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.cases.measuring import measured, opened
from benchmarks.contestant import Contestant, NoFiguresError, Worker
from benchmarks.environments import MEDIAPIPE, MODEL_API, OPENVINO, Environment
from benchmarks.networks import KERAS, Network
from benchmarks.peers.edge_runtime import RERUN
from benchmarks.settings import Settings
from benchmarks.turns import Table
from edge_runtime.bundle.manifest import Format, Precision

LOOP = "LiteRT, hand-written loop"
OURS = "edge-predict, LiteRT"

Wanted = tuple[str, Callable[[], Contestant]]


def array(network: Network, settings: Settings) -> Table:
    """Measure ``predict(array)`` beside every peer: from decoded pixels to the label."""
    return _table("predict(array)", network, settings, "array", [*_runtimes(network, "array"), *_peers(network)])


def path(network: Network, settings: Settings) -> Table:
    """Measure ``predict(path)`` beside the loops with ``cv2.imread``: from the file to the label."""
    return _table("predict(path)", network, settings, "path", _runtimes(network, "path"))


def _table(title: str, network: Network, settings: Settings, kind: str, wanted: Sequence[Wanted]) -> Table:
    with ExitStack() as stack:
        contestants, skipped = opened(stack, wanted)
        ours = next(each for each in contestants if each.name == OURS)
        assert isinstance(ours, Worker)
        once = [i for i, answer in enumerate(ours.answers) if answer != RERUN]
        reruns = len(ours.answers) - len(once)
        remarks = [
            f"{len(once)} of {len(ours.answers)} {network.source}; {_rerun_text(reruns)}",
            *_agreement(contestants),
        ]
        return measured(
            *(title, network.name, contestants, skipped, settings),
            items=once or range(len(ours.answers)),
            per_turn=min(settings.items, len(once) or 1),
            remarks=remarks,
        )


def _rerun_text(reruns: int) -> str:
    return (
        f"the other {reruns} lie in the guard band, where float32 runs as well" if reruns else "none in the guard band"
    )


def _agreement(contestants: Sequence[Contestant]) -> list[str]:
    """Say of peers how often their label is the loop's: the same network has to answer alike."""
    workers = [
        each for each in contestants if isinstance(each, Worker) and each.answers and each.answers[0] in (0, 1, 2)
    ]
    told = []
    for peer in workers[1:]:
        same = sum(a == b for a, b in zip(peer.answers, workers[0].answers, strict=True))
        if same < len(peer.answers):
            told.append(f"{peer.name}: the loop's label on {same} of {len(peer.answers)} images")
    return told


def _runtimes(network: Network, kind: str) -> list[Wanted]:
    """Return the loop, which is the reference, this package on both interpreters, and onnxruntime's loop."""
    tflite, onnx = network.file(Format.TFLITE), network.file(Format.ONNX)

    def ours(backend: str) -> Callable[[], Contestant]:
        name = OURS if backend == "litert" else "edge-predict, onnxruntime"
        return lambda: Worker(name, network.task("edge_runtime", network.name, kind, options={"backend": backend}))

    return [
        (LOOP, lambda: Worker(LOOP, network.task("litert_loop", tflite, kind))),
        (OURS, ours("litert")),
        (
            "onnxruntime, hand-written loop",
            _loop("onnxruntime, hand-written loop", network, "onnxruntime_loop", onnx, kind),
        ),
        ("edge-predict, onnxruntime", ours("onnxruntime")),
    ]


def _loop(name: str, network: Network, peer: str, model: str, kind: str) -> Callable[[], Contestant]:
    return lambda: Worker(name, network.task(peer, model, kind))


def _peers(network: Network) -> list[Wanted]:
    onnx, tflite = network.file(Format.ONNX), network.file(Format.TFLITE)

    def apart(name: str, environment: Environment, peer: str, model: str) -> Wanted:
        return name, lambda: Worker(name, network.task(peer, model), python=environment.python)

    def of_colour(wanted: Wanted) -> Wanted:
        return wanted if network.colour else (wanted[0], _refused)

    def keras() -> Contestant:
        model = KERAS / network.name / "model.keras"
        if not model.is_file():
            raise NoFiguresError(f"{model.name} of this network is not in the checkout")
        return Worker("Keras, float32", network.task("keras_model", str(model)))

    return [
        apart("OpenVINO, hand-written loop", OPENVINO, "openvino_loop", onnx),
        of_colour(apart("OpenVINO Model API", MODEL_API, "openvino_model_api", onnx)),
        of_colour(apart("MediaPipe Tasks", MEDIAPIPE, "mediapipe_classifier", tflite)),
        ("Keras, float32", keras),
        (
            "LiteRT float32, hand-written loop",
            _loop(
                *("LiteRT float32, hand-written loop", network, "litert_loop"),
                *(network.file(Format.TFLITE, Precision.FLOAT32), "array"),
            ),
        ),
    ]


def _refused() -> Contestant:
    raise NoFiguresError("it takes networks of three channels, and this one takes grey images")
