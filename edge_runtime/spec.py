"""What a person chooses about a model: its steps, labels, head, policy and tolerances.

``ModelSpec.steps`` in canonical JSON, hashed with SHA-256, is the *preprocessing contract*: two
models with the same hash see the same tensor for the same picture. Nothing in a step is a library's
default: colour order, size, interpolation, dtype, kernel and border are all written out.
"""

from __future__ import annotations

import enum
import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from edge_runtime.records import canonical_json


class Interpolation(enum.Enum):
    """How a resize finds a value between pixels. Pixel centres lie at half-integers in all of them."""

    NEAREST = "nearest"  # OpenCV INTER_NEAREST_EXACT, equal to Pillow's NEAREST
    LINEAR = "linear"  # float32: tf.image.resize, bit for bit; uint8: OpenCV INTER_LINEAR, bits differ by processor
    LINEAR_EXACT = "linear_exact"  # OpenCV INTER_LINEAR_EXACT; uint8 only, the same bits everywhere
    AREA = "area"  # OpenCV INTER_AREA; for shrinking


class PixelType(enum.Enum):
    """The dtype in which a step computes and which it hands on."""

    UINT8 = "uint8"  # rounded and saturated to 0..255
    FLOAT32 = "float32"  # neither rounded nor clipped


class Border(enum.Enum):
    """What a convolution sees beyond the edge."""

    REFLECT_101 = "reflect_101"  # gfedcb|abcdefgh|gfedcba: reflected, the edge pixel not repeated
    REPLICATE = "replicate"  # aaaaaa|abcdefgh|hhhhhhh
    ZERO = "zero"


class ColourOrder(enum.Enum):
    """The order of the channel axis."""

    GREY = "grey"
    RGB = "rgb"
    BGR = "bgr"


@dataclass(frozen=True)
class Colour:
    """Bring the picture to ``order``. Grey from colour is .299 R + .587 G + .114 B, rounded (ITU-R BT.601)."""

    KIND: ClassVar[str] = "colour"
    order: ColourOrder


@dataclass(frozen=True)
class Window:
    """Map ``low..high`` of a picture deeper than 8 bits linearly to 0..255 uint8, saturating outside."""

    KIND: ClassVar[str] = "window"
    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 65535:
            raise ValueError(f"window {self.low}..{self.high}: expected 0 <= low < high <= 65535.")


@dataclass(frozen=True)
class Resize:
    """Stretch to ``width_px`` × ``height_px``; the aspect ratio is not kept."""

    KIND: ClassVar[str] = "resize"
    width_px: int
    height_px: int
    interpolation: Interpolation
    result: PixelType

    def __post_init__(self) -> None:
        if not (1 <= self.width_px <= 4096 and 1 <= self.height_px <= 4096):
            raise ValueError(f"resize to {self.width_px}x{self.height_px}: expected sides of 1..4096 px.")
        if self.interpolation is Interpolation.LINEAR_EXACT and self.result is PixelType.FLOAT32:
            raise ValueError("linear_exact works on uint8 alone; use linear for a float32 result.")


@dataclass(frozen=True)
class Sharpen:
    """Correlate every channel with a square odd ``kernel`` (rows from the top)."""

    KIND: ClassVar[str] = "sharpen"
    kernel: tuple[tuple[float, ...], ...]
    result: PixelType
    border: Border

    def __post_init__(self) -> None:
        side = len(self.kernel)
        if side % 2 == 0 or any(len(row) != side for row in self.kernel):
            raise ValueError(f"sharpen: expected a square kernel of odd side, found rows of {self.kernel!r}.")


@dataclass(frozen=True)
class MinMax:
    """Stretch the whole picture, all channels together, linearly to ``low..high`` in float32."""

    KIND: ClassVar[str] = "min_max"
    low: float
    high: float


@dataclass(frozen=True)
class Scale:
    """``x / divisor + offset`` in float32."""

    KIND: ClassVar[str] = "scale"
    divisor: float
    offset: float

    def __post_init__(self) -> None:
        if self.divisor == 0:
            raise ValueError("scale: found divisor 0, expected another number.")


Step = Colour | Window | Resize | Sharpen | MinMax | Scale

LAPLACIAN_SHARPEN_3X3: tuple[tuple[float, ...], ...] = ((-1.0, -1.0, -1.0), (-1.0, 9.0, -1.0), (-1.0, -1.0, -1.0))
"""Identity plus the 8-neighbour Laplacian (Gonzalez & Woods, Digital Image Processing, 3.6.2)."""


class Head(enum.Enum):
    """How logits become scores in 0..1.

    ``probabilities`` is for networks whose final activation cannot be removed. The scores of its int8 file have
    256 values: between 255/256 and 1 no confidence exists, and a confidence floor of .999 is never reached there.
    """

    SOFTMAX = "softmax"  # one logit a label, scores sum to 1
    SIGMOID = "sigmoid"  # one logit for two labels: the second's
    INDEPENDENT_SIGMOIDS = "independent_sigmoids"  # one logit a label, scores need not sum to 1
    PROBABILITIES = "probabilities"  # no logits: one score a label, 0..1, used as it is


@dataclass(frozen=True)
class CaseRule:
    """A patient is positive from ``count`` pictures called positive with ``confidence`` (0..1) or more.

    A picture of less confidence is not counted, for either side.
    """

    confidence: float
    count: int

    def __post_init__(self) -> None:
        if not (0.0 <= self.confidence <= 1.0 and self.count >= 1):
            raise ValueError(f"{self}: expected a confidence of 0..1 and a count of 1 or more.")


@dataclass(frozen=True)
class DecisionPolicy:
    """Where scores turn into decisions.

    Attributes:
        cutoff: the positive score (0..1) from which a picture is POSITIVE.
        confidence_floor: the largest score of any label (0..1) under which the answer is REFER.
        temperature: logits are divided by it before any score, so both thresholds speak of the divided ones.
        case: how a patient follows from several pictures; None where single pictures are judged.
    """

    cutoff: float
    confidence_floor: float
    temperature: float = 1.0
    case: CaseRule | None = None

    def __post_init__(self) -> None:
        if not 1e-6 <= self.temperature <= 1e6:  # so that no float32 logit overflows when divided
            raise ValueError(f"policy: found temperature {self.temperature}, expected more than 0 (1e-6..1e6).")
        for name in ("cutoff", "confidence_floor"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"policy: found {name} {getattr(self, name)}, expected 0..1.")


@dataclass(frozen=True)
class ParityTolerance:
    """How far an exported file may stray from the Keras model before export refuses.

    Attributes:
        float32_logit_max: largest |Δ logit| of a float32 file, relative to max(1, |logit|).
        int8_score_mean: mean |Δ score| of an int8 file over the parity pictures.
        int8_flips_per_1000: decisions of an int8 file that differ, before the guard band; one is always allowed.
    """

    float32_logit_max: float = 1e-4
    int8_score_mean: float = 0.02
    int8_flips_per_1000: float = 5.0


@dataclass(frozen=True)
class ModelSpec:
    """A model as its makers declare it; immutable, and the same in a recipe, a bundle and a model file.

    Attributes:
        name: lower-case words joined by hyphens; also the bundle's name.
        version: MAJOR.MINOR.PATCH.
        summary: one line for people: what picture goes in and what is answered.
        steps: applied in this order to every picture.
        labels: one a score, in the order of the network's outputs.
        positive: the labels whose scores add up to the positive score.
        min_side_px: pictures with a shorter side are refused: stretching them would invent tissue.
    """

    name: str
    version: str
    summary: str
    steps: tuple[Step, ...]
    labels: tuple[str, ...]
    positive: tuple[str, ...]
    head: Head
    policy: DecisionPolicy
    min_side_px: int = 8
    tolerance: ParityTolerance = field(default_factory=ParityTolerance)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"name {self.name!r}: expected lower-case words joined by hyphens.")
        if not re.fullmatch(r"\d+\.\d+\.\d+", self.version):
            raise ValueError(f"version {self.version!r}: expected MAJOR.MINOR.PATCH.")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels {self.labels}: expected two or more different names.")
        if not self.positive or not set(self.positive) < set(self.labels):
            raise ValueError(f"positive {self.positive}: expected some, not all, of the labels {self.labels}.")
        if self.head is Head.SIGMOID and (len(self.labels) != 2 or self.positive != self.labels[1:]):
            raise ValueError("head sigmoid: expected two labels, the second of them positive.")
        if self.head is Head.PROBABILITIES and self.policy.temperature != 1.0:
            raise ValueError(
                f"head probabilities: found temperature {self.policy.temperature}, expected 1; it is for logits."
            )
        _check_order(self.steps)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the tensor, from the last resize."""
        last = [step for step in self.steps if isinstance(step, Resize)][-1]
        return last.width_px, last.height_px

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        last = [step for step in self.steps if isinstance(step, Colour)][-1]
        return 1 if last.order is ColourOrder.GREY else 3

    @property
    def outputs(self) -> int:
        """The number of logits that the network must end with."""
        return 1 if self.head is Head.SIGMOID else len(self.labels)

    @cached_property
    def contract(self) -> str:
        """SHA-256 (hex) of the canonical JSON of ``steps``: the preprocessing contract."""
        return hashlib.sha256(canonical_json(self.steps).encode("ascii")).hexdigest()


def _check_order(steps: tuple[Step, ...]) -> None:
    """A tensor's shape must follow from the steps alone, and uint8 steps must come before float ones."""
    if sum(isinstance(step, Resize) for step in steps) == 0:
        raise ValueError("steps: expected a resize, found none; the network's input size would be unknown.")
    if sum(isinstance(step, Colour) for step in steps) == 0:
        raise ValueError("steps: expected a colour step, found none; the channel order would be unknown.")
    if any(isinstance(step, Window) for step in steps[1:]):
        raise ValueError("steps: a window step must come first.")
    floating = False
    for step in steps:
        result = getattr(step, "result", None)
        if floating and (isinstance(step, Colour) or result is PixelType.UINT8):
            raise ValueError(f"steps: {step.KIND} on uint8 comes after a float32 step; put it before.")
        floating = floating or result is PixelType.FLOAT32 or isinstance(step, MinMax | Scale)
