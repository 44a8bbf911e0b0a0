"""Compute explanations: a normal prediction with the heatmap of the float32 file."""

from __future__ import annotations

from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.runtime_manifest import Role
from edge_runtime.bundle.saliency import Method, Saliency
from edge_runtime.decision.verdict import Reason, Verdict
from edge_runtime.errors import BackendError, SaliencyError, UsageError
from edge_runtime.explain.class_activation import attention, eigen_cam, from_npz, grad_cam
from edge_runtime.explain.explanation import Explanation, Floats
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.inference.pipeline import InferenceInput
from edge_runtime.inference.prediction import Prediction
from edge_runtime.preprocessing.steps import covered


class Explainer:
    """Computes heatmaps with the data of a bundle, which is read and checked once. Thread-safe."""

    def __init__(self, bundle: ModelFiles, plan: Plan) -> None:
        """Read the head's matrices.

        Raises:
            SaliencyError: the bundle has no data for heatmaps; the message contains reason and remedy.
            IntegrityError, ManifestError: the file of matrices is not the exported one.
        """
        self._plan = plan
        self._saliency = _saliency(bundle)
        self._weights: tuple[Floats, ...] = ()
        if self._saliency.method is Method.GRAD_CAM:
            entries = bundle.manifest.of_role(Role.SALIENCY)
            if not entries:
                raise SaliencyError(
                    f"{bundle.where}: found no file for heatmaps, expected one. Export the model again."
                )
            self._weights = from_npz(bundle.content(entries[0]), f"{bundle.where}/{entries[0].name}")

    def explain(
        self, preprocessed: InferenceInput, prediction: Prediction, engine: Engine, label: str | None
    ) -> Explanation:
        """Run the float32 file and compute the heatmap of ``label``, by default of the predicted label.

        Raises:
            UsageError: the model has no such label, or its heatmaps are of no label (Eigen-CAM, attention).
            BackendError: the outputs of the file do not match the manifest.
        """
        explained = self._label(label, prediction.verdict)
        logits, features, hidden = _parts(engine.explain(preprocessed.prepared), self._saliency, len(self._weights) - 1)
        grid = self._map(features, hidden, explained)
        return Explanation(
            prediction=prediction,
            exact=self._exact(logits, prediction.verdict),
            method=self._saliency.method,
            label=explained,
            layer=self._saliency.layer,
            grid=grid,
            box=_box(preprocessed, self._plan),
            picture=preprocessed.image,
        )

    def _map(self, features: Floats, hidden: tuple[Floats, ...], label: str | None) -> Floats:
        if label is None:
            return attention(features) if self._saliency.method is Method.ATTENTION else eigen_cam(features)
        spec = self._plan.spec
        return grad_cam(features, hidden, self._weights, spec.labels.index(label), spec.head)

    def _label(self, label: str | None, verdict: Verdict) -> str | None:
        labels = self._plan.spec.labels
        if not self._saliency.method.of_label:
            if label is not None:
                why = f" ({self._saliency.why})" if self._saliency.why else ""
                named = "Eigen-CAM" if self._saliency.method is Method.EIGEN_CAM else "attention"
                raise UsageError(
                    f"label {label!r}: found a model with {named} heatmaps, which do not depend on a label{why}. "
                    "Leave the label out."
                )
            return None
        if label is not None and label not in labels:
            raise UsageError(f"label {label!r}: found no such label, expected one of {', '.join(labels)}.")
        return label or verdict.label

    def _exact(self, logits: Floats, verdict: Verdict) -> Verdict:
        """Return the verdict from the float32 file's logits, with the same rule as the prediction."""
        return self._plan.rule.verdict(logits, familiar=verdict.reason is not Reason.UNFAMILIAR_INPUT)


def _saliency(bundle: ModelFiles) -> Saliency:
    spec, saliency = bundle.manifest.spec, bundle.manifest.saliency
    remedy = "Leave the heatmap out, or export the model again: python -m export ARTIFACT --out BUNDLE."
    if saliency is None:
        raise SaliencyError(
            f"{spec.name} {spec.version}: found no data for heatmaps, as in bundles of older releases and in "
            f"single model files. {remedy}"
        )
    if saliency.method is Method.NONE:
        raise SaliencyError(
            f"{spec.name} {spec.version}: this model has no heatmaps: {saliency.why}. Leave the heatmap out."
        )
    return saliency


def _parts(given: tuple[Floats, ...], saliency: Saliency, hidden: int) -> tuple[Floats, Floats, tuple[Floats, ...]]:
    """Return logits, feature map and hidden layers from the outputs; reject outputs of another network."""
    if len(given) != 2 + max(hidden, 0) or given[1].shape != saliency.grid:
        raise BackendError(
            f"found outputs of shapes {[part.shape for part in given]} in the float32 file, expected logits, a feature "
            f"map of {saliency.grid} and {max(hidden, 0)} hidden layers. Export the model again."
        )
    return given[0], given[1], given[2:]


def _box(preprocessed: InferenceInput, plan: Plan) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the network's input: the whole image, or the square around the region.

    The black borders of a letterbox are part of it, to the nearest pixel.
    """
    height, width = preprocessed.image.pixels.shape[:2]
    x, y = 0, 0
    if preprocessed.region is not None and plan.spec.region is not None:
        x, y, width = plan.spec.region.square(preprocessed.region)
        height = width
    left, top, right, bottom = covered(plan.spec.steps, width, height)
    return x + left, y + top, x + right, y + bottom
