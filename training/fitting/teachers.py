"""Teachers of a distilled network: their mean probability on the batches that the student is fitted on.

A teacher gets the student's augmented tensor, converted to its own input: another size (bilinear), channel order and
scale of values. No image is read twice, and teacher and student see the same change. On an image that is not augmented
the conversion is close to the teacher's own preprocessing: bilinear interpolation of the same pixels, without its
rounding to whole levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import keras
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import TeacherModel
from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Resize, Scale, Step
from training.artifact import Artifact
from training.data.splits import Part, Split
from training.errors import RecipeError
from training.networks.keras_model import load_model, logits_model
from training.recipes.recipe import Recipe

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LoadedTeacher:
    """A teacher's spec, and its network cut at the logits."""

    spec: ModelSpec
    network: keras.Model
    model: TeacherModel


class TeacherEnsemble:
    """Teachers of one student, all of its labels and head."""

    def __init__(self, teachers: Sequence[LoadedTeacher], student: ModelSpec, temperature: float) -> None:
        """Check that the teachers' specs suit the student's.

        Args:
            temperature: divisor of the logits, beside the temperature that calibrates a teacher.

        Raises:
            RecipeError: labels, head or preprocessing of a teacher differ in more than size, channel order and scale.
        """
        for teacher in teachers:
            _check_spec(teacher.spec, student)
        self._teachers, self._student, self._temperature = tuple(teachers), student, temperature
        self.models = tuple(teacher.model for teacher in teachers)

    def probabilities(self, images: Floats) -> Floats:
        """Return the teachers' mean probabilities (float32 N×outputs) on the student's tensors (float32 N×H×W×C)."""
        found = [self._of_one(teacher, images) for teacher in self._teachers]
        return np.asarray(np.mean(found, axis=0), dtype=np.float32)

    def _of_one(self, teacher: LoadedTeacher, images: Floats) -> npt.NDArray[np.float64]:
        tensors = converted(images, self._student, teacher.spec)
        logits = np.asarray(teacher.network.predict_on_batch(tensors), dtype=np.float64)
        z = logits / (teacher.spec.policy.temperature * self._temperature)
        if teacher.spec.head is Head.SOFTMAX:
            exp = np.exp(z - z.max(axis=1, keepdims=True))
            return np.asarray(exp / exp.sum(axis=1, keepdims=True))
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))  # the sigmoid, without overflow


def open_teachers(artifacts: Sequence[Artifact], recipe: Recipe, split: Split) -> TeacherEnsemble | None:
    """Load the teachers of ``recipe``; None for a recipe without teachers.

    Args:
        split: the student's split. No teacher may have been fitted on a patient that the student is measured on.

    Raises:
        RecipeError: there are teachers and the recipe takes none, or the reverse; or a teacher does not suit it.
        ArtifactError: an artifact is incomplete.
    """
    name, wanted = recipe.spec.name, recipe.teacher
    if wanted is None:
        if artifacts:
            raise RecipeError(f"{name} is fitted on labels alone and takes no --teacher. Remove the option.")
        return None
    if not artifacts:
        raise RecipeError(
            f"{name} is distilled: found no --teacher, expected an artifact of {' or '.join(wanted.recipes)}. "
            "Fit one first, and give its folder."
        )
    return TeacherEnsemble([_load(a, recipe, split) for a in artifacts], recipe.spec, wanted.temperature)


def _load(artifact: Artifact, recipe: Recipe, split: Split) -> LoadedTeacher:
    spec = artifact.spec()
    if recipe.teacher is None or spec.name not in recipe.teacher.recipes:
        allowed = " or ".join(recipe.teacher.recipes) if recipe.teacher else "none"
        raise RecipeError(f"{artifact.folder}: found an artifact of {spec.name}, expected a teacher {allowed}.")
    fitted = {group for group, part in artifact.split().items() if part is Part.TRAIN}
    held_out = {group for group, part in split.items() if part is not Part.TRAIN}
    if both := sorted(fitted & held_out):
        raise RecipeError(
            f"{artifact.folder}: found a teacher fitted on {len(both)} patients that {recipe.spec.name} is measured "
            f"on, the first {both[0]}, expected none. Fit both recipes with the same split."
        )
    network = logits_model(load_model(artifact.model_path))
    digest = hashlib.sha256(artifact.model_path.read_bytes()).hexdigest()
    return LoadedTeacher(spec, network, TeacherModel(spec.name, spec.version, digest))


def converted(images: Floats, student: ModelSpec, teacher: ModelSpec) -> Floats:
    """Return the student's tensors (float32 N×H×W×C) as the teacher's, by its size, channel order and scale."""
    if student.contract == teacher.contract:
        return images
    if student.size_px != teacher.size_px:
        shrinking = teacher.size_px[0] < student.size_px[0]
        method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        resized = [cv2.resize(image, teacher.size_px, interpolation=method) for image in images]
        images = np.stack(resized).reshape(len(images), *teacher.size_px[::-1], images.shape[-1])
    if _order(student) is not _order(teacher):
        images = images[..., ::-1]
    ours, theirs = _scale(student), _scale(teacher)
    if ours != theirs:
        images = (images - ours.offset) * (ours.divisor / theirs.divisor) + theirs.offset
    return np.asarray(images, dtype=np.float32)


def _check_spec(teacher: ModelSpec, student: ModelSpec) -> None:
    found, expected = (
        (s.labels, s.head, s.channels, s.size_px[0] / s.size_px[1], [_kept(step) for step in s.steps if _kept(step)])
        for s in (teacher, student)
    )
    names = ("labels", "head", "channels", "aspect ratio", "steps")
    if differing := [name for name, one, other in zip(names, found, expected, strict=True) if one != other]:
        raise RecipeError(
            f"teacher {teacher.name}: found other {', '.join(differing)} than in {student.name}, expected the same; "
            "only the size, the order of the channels and the scale of the values may differ. Choose another teacher."
        )


def _kept(step: Step) -> Step | None:
    """Return a step that teacher and student must share; None for one that :func:`converted` makes up for."""
    return None if isinstance(step, Colour | Resize | Scale) else step


def _order(spec: ModelSpec) -> ColourOrder:
    return [step for step in spec.steps if isinstance(step, Colour)][-1].order


def _scale(spec: ModelSpec) -> Scale:
    return next((step for step in reversed(spec.steps) if isinstance(step, Scale)), Scale(1.0, 0.0))
