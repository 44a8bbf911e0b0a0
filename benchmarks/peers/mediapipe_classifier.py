"""MediaPipe Tasks' image classifier, on the file with the metadata that its converter's guide asks for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2

from benchmarks.peers.steps import decoded
from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of an item: the index of the label that it names first."""
    import mediapipe as mp

    _stand_in_for_the_version()
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.metadata.metadata_writers import image_classifier, metadata_writer
    from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

    labels = metadata_writer.Labels().add(list(task.labels))
    model = _with_logits_alone(Path(task.model).read_bytes())
    writer = image_classifier.MetadataWriter.create(model, [127.5], [127.5], labels)
    options = ImageClassifierOptions(BaseOptions(model_asset_buffer=bytes(writer.populate()[0])), max_results=1)
    classifier = ImageClassifier.create_from_options(options)

    def call(item: Item) -> int:
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=cv2.cvtColor(decoded(item), cv2.COLOR_BGR2RGB))
        found = classifier.classify(image).classifications[0].categories
        return int(found[0].score > 0) if len(task.labels) == 1 else int(found[0].index)

    return call


def _with_logits_alone(model: bytes) -> bytearray:
    """Return the file with its first output: a second one is refused."""
    from mediapipe.tasks.metadata import schema_py_generated as schema

    changed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    (graph,) = changed.subgraphs
    graph.outputs = graph.outputs[:1]
    for signature in changed.signatureDefs or ():
        signature.outputs = [each for each in signature.outputs if each.tensorIndex in graph.outputs]
    builder = schema.flatbuffers.Builder(len(model))
    builder.Finish(changed.Pack(builder), b"TFL3")
    return bytearray(builder.Output())


def _stand_in_for_the_version() -> None:
    """Give the writer of metadata what the wheel of mediapipe 1.2.3 lacks: a compiled function for a version's text."""
    names = ("mediapipe.tasks.cc", "mediapipe.tasks.cc.metadata", "mediapipe.tasks.cc.metadata.python")
    modules = {name: ModuleType(name) for name in names}
    version = SimpleNamespace(GetMinimumMetadataParserVersion=lambda data: "1.0.0")
    setattr(modules[names[-1]], "_pywrap_metadata_version", version)  # noqa: B010  # a module has no such attribute
    sys.modules.update(modules)
