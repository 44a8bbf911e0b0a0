"""Write ``tests/golden/<model>.json``: what the full TensorFlow model says of the phantoms in the repository.

    python -m tests.golden.regenerate training/models/idc-patch calibration_data/phantom-patch

The device tests replay it where TensorFlow is absent. A changed golden file goes into the changelog.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from edge_runtime.decision import decide
from edge_runtime.imaging import read
from edge_runtime.preprocessing import prepare
from training.artifact import Artifact
from training.keras_model import load_model, logits_model

COUNT = 24


def main() -> None:
    """Write the golden file of one artifact."""
    artifact, pictures = Artifact(Path(sys.argv[1])), sorted(Path(sys.argv[2]).rglob("*.png"))
    spec = artifact.spec()
    chosen = pictures[:: max(1, len(pictures) // COUNT)][:COUNT]
    tensors = np.stack([prepare(read(path), spec.steps) for path in chosen])
    logits = logits_model(load_model(artifact.model_path)).predict(tensors, verbose=0)
    entries = [
        {
            "image": path.relative_to(sys.argv[2]).as_posix(),
            "tensor_sha256": hashlib.sha256(tensor.tobytes()).hexdigest(),
            "logits": [float(z) for z in row],
            "decision": decide(row, spec).decision.value,
        }
        for path, tensor, row in zip(chosen, tensors, logits, strict=True)
    ]
    out = Path(__file__).with_name(f"{spec.name}.json")
    out.write_text(json.dumps({"contract": spec.contract, "entries": entries}, indent=1) + "\n", encoding="utf-8")
    print(f"{len(entries)} golden answers in {out.name}")


if __name__ == "__main__":
    main()
