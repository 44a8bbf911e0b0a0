"""Write ``tests/golden/<model>.json``: what the full Keras model says of the phantoms in the repository.

    python -m tests.golden.regenerate training/models/idc-patch-compact calibration_data/phantom-patch
    python -m tests.golden.regenerate training/models/idc-patch calibration_data/phantom-patch

The device tests replay it where TensorFlow is absent, for the default model and for system 4. A bundle's own golden
vectors travel inside it, so that a bundle that was exported wrongly vouches for itself; these answers stand outside,
come from the Keras model alone, and begin at image files that export never saw. A changed golden file goes into the
changelog.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import Decision
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.ood.detector import is_familiar
from edge_runtime.preprocessing.preprocessor import preprocess
from tests.unit.decision.plain_decision import plain_verdict
from training.artifact import Artifact
from training.evaluation.feature_extractor import FeatureExtractor
from training.evaluation.marked_image import MarkedImage
from training.networks.keras_model import load_model, logits_model

if TYPE_CHECKING:
    import keras

COUNT = 24


def main() -> None:
    """Write the golden file of one artifact, whose model answers about whole images."""
    artifact, folder = Artifact(Path(sys.argv[1])), Path(sys.argv[2])
    spec = artifact.spec()
    paths = sorted(folder.rglob("*.png"))
    chosen = paths[:: max(1, len(paths) // COUNT)][:COUNT]
    images = [read(path) for path in chosen]
    tensors = np.stack([preprocess(image, spec.steps) for image in images])
    network = load_model(artifact.model_path)
    logits = logits_model(network).predict(tensors, verbose=0)
    shares = shares_of(images, network, spec)
    entries = [
        {
            "image": path.relative_to(folder).as_posix(),
            "tensor_sha256": hashlib.sha256(tensor.tobytes()).hexdigest(),
            "logits": [float(z) for z in row],
            "decision": decision(share, row, spec).value,
        }
        for path, share, tensor, row in zip(chosen, shares, tensors, logits, strict=True)
    ]
    out = Path(__file__).with_name(f"{spec.name}.json")
    out.write_text(json.dumps({"contract": spec.contract, "entries": entries}, indent=1) + "\n", encoding="utf-8")
    print(f"{len(entries)} golden answers in {out.name}")


def shares_of(images: list[DecodedImage], network: keras.Model, spec: ModelSpec) -> list[float | None]:
    """Return each image's out-of-distribution share by the Keras model; None for a model without the check."""
    check = spec.network_check
    if check is None:
        return [None if spec.image_check is None else spec.image_check.share(image) for image in images]
    extractor = FeatureExtractor(network, check.layer, spec.steps)
    return extractor.shares([MarkedImage(image) for image in images], check, spec)


def decision(share: float | None, logits: np.ndarray, spec: ModelSpec) -> Decision:
    """Return what a device should answer: what is unlike the model's own images is referred, whatever it scores."""
    if not is_familiar(share):
        return Decision.REFER
    return plain_verdict(logits, spec).decision


if __name__ == "__main__":
    main()
