"""One image, as an array and as a file, by this package and by its peers with the same network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.cases.measuring import measured, opened
from benchmarks.contestant import Contestant, NoFiguresError, Worker
from benchmarks.environments import MEDIAPIPE, MODEL_API, OPENVINO, Environment
from benchmarks.networks import KERAS, Network
from benchmarks.peers.edge_runtime import ONCE, RERUN
from benchmarks.settings import Settings
from benchmarks.turns import Table
from edge_runtime.bundle.manifest import Format, Precision

LOOP = "LiteRT, hand-written loop"
OURS = "edge-predict, LiteRT"
READ_ONLY = "edge-predict, LiteRT, read-only array"

Wanted = tuple[str, Callable[[], Contestant]]


def array(network: Network, settings: Settings) -> Table:
    """Measure ``predict(array)`` beside every peer: from decoded pixels to the label."""
    loop, ours, *others = _runtimes(network, "array")
    read_only = network.task("edge_runtime", network.name, "read-only array")
    wanted = [loop, ours, (READ_ONLY, lambda: Worker(READ_ONLY, read_only)), *others, *_peers(network)]
    return _table("predict(array)", network, settings, "array", wanted)


def path(network: Network, settings: Settings) -> Table:
    """Measure ``predict(path)`` beside the loops with ``cv2.imread``: from the file to the label."""
    return _table("predict(path)", network, settings, "path", _runtimes(network, "path"))


def _table(case: str, network: Network, settings: Settings, kind: str, wanted: Sequence[Wanted]) -> Table:
    items = range(len(network.paths))
    with ExitStack() as stack:
        contestants, skipped = opened(stack, wanted)
        workers = [each for each in contestants if isinstance(each, Worker)]
        return measured(
            *(case, network.name, contestants, skipped, settings),
            items=items,
            per_turn=min(settings.items, len(items)),
            remarks=[network.source, *_agreement(workers), *_reruns(workers)],
        )


def _agreement(workers: Sequence[Worker]) -> list[str]:
    """Say how often a peer's label is the loop's, if it differs on some image: the same network has to answer alike."""
    told, expected = [], workers[0].answers
    for peer in workers[1:]:
        same = sum(a == b for a, b in zip(peer.answers, expected, strict=True))
        if same < len(expected) and not set(peer.answers) <= {RERUN, ONCE}:
            told.append(f"{peer.name}: the loop's label on {same} of {len(expected)} images")
    return told


def _reruns(workers: Sequence[Worker]) -> list[str]:
    """Say how many images float32 ran on as well, which is possible with another interpreter than LiteRT."""
    counts = {worker.name: worker.answers.count(RERUN) for worker in workers}
    return [
        f"{name}: {count} images lie in the guard band, where float32 ran as well"
        for name, count in counts.items()
        if count
    ]


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
