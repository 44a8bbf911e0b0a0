"""Preview of an export in about a minute: what will probably ship, how long it takes and how much memory.

The preview runs the stages of an export on few images: 32 for the int8 ranges, and parity images up to
:data:`PARITY_MIB` of tensors. It writes to a temporary folder only. Times that grow with the number of images are
measured apart from those that do not (:class:`export.converters.isolation.Usage`), and scaled.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.manifest import Attempt, Format, Precision
from export.conversion import ExportFolder, ParityImages, convert
from export.converters.isolation import Usage, peak_bytes, usages
from export.pipeline import examine
from export.progress import ExportProgress, Stage, duration
from export.quantisation.schemes import LADDER, Quantisation
from export.quantisation.search import SearchPlan
from export.source import feature_map
from export.source.calibration_images import FEWEST, PreparedImages, Reading, tensor_bytes
from export.source.source import SourceModel
from export.validation import heatmaps
from export.validation.contradiction import contradict
from export.validation.golden import golden_tensors

PARITY_MIB = 24
"""Limit of the tensors of the preview's parity images: 41 of 224×224×3, 56 of 192×192×3, never fewer than 32."""

SEARCH_UNTIL_S = {Format.TFLITE: 30.0, Format.ONNX: 50.0}
"""Duration of the preview, in seconds, after which it tries no further scheme of a format. It always tries one."""

_FORMATS = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}

_STEPS = {
    "keras_model": "computing with Keras",
    "heatmaps": "heatmaps with Keras",
    "feature_map": "the feature map with Keras",
    "equalisation": "rewriting for int8",
    "to_tflite": "TensorFlow's converter to TFLite",
    "tflite_layers": "measuring the layers of the TFLite file",
    "to_onnx": "the conversion to ONNX",
    "onnx_layers": "measuring the layers of the ONNX file",
}


@dataclass(frozen=True)
class Preview:
    """What an export would probably do.

    Attributes:
        name: name and version of the spec, and its contract.
        attempts: the schemes that were tried, file by file.
        files: name → size in bytes of the files that the preview made.
        ranges, judged: images used by the preview, and by the export, for the int8 ranges and for parity.
        seconds: expected duration of the export.
        taken: duration of the preview.
        peak_bytes: largest memory of one process.
        peak_step: what that process did.
        disk_bytes: space that the export needs beside its output while it runs.
    """

    name: str
    attempts: tuple[Attempt, ...]
    files: dict[str, int]
    ranges: tuple[int, int]
    judged: tuple[int, int]
    seconds: float
    taken: float
    peak_bytes: int
    peak_step: str
    disk_bytes: int

    def text(self) -> str:
        """Return the preview as lines for people."""
        lines = [
            f"preview of {self.name}",
            *self._float32(),
            *(f"  {f'int8 {_FORMATS[form]}':13} {self._int8(form)}" for form in self._forms()),
            f"  time          {duration(self.seconds)} for the export with {self.ranges[1]} calibration and "
            f"{self.judged[1]} parity images",
            f"  memory        {_size(self.peak_bytes)} at most, in {self.peak_step}; not more for larger folders",
            f"  disk          {_size(self.disk_bytes)} beside --out until the export ends",
            f"The preview took {self.taken:.0f} s with {self.ranges[0]} calibration and {self.judged[0]} parity "
            "images; the export decides on all. Nothing was written.",
        ]
        return "\n".join(lines)

    def _forms(self, precision: Precision | None = None) -> list[Format]:
        """Return the formats of the files, or of those of one precision."""
        precisions = Precision if precision is None else (precision,)
        return [form for form in Format if any(ExportFolder.name(form, each) in self.files for each in precisions)]

    def _float32(self) -> list[str]:
        forms = [_FORMATS[form] for form in self._forms(Precision.FLOAT32)]
        agree = f"{' and '.join(forms)} agree{'s' if len(forms) == 1 else ''}"
        return [f"  float32       {agree} with the source model on {self.judged[0]} images"] if forms else []

    def _int8(self, form: Format) -> str:
        tried = [attempt for attempt in self.attempts if attempt.file == ExportFolder.name(form, Precision.INT8)]
        if not tried:
            given = ExportFolder.name(form, Precision.INT8) in self.files
            return "is the given file, which is quantised already" if given else "not tried"
        last, of = tried[-1], f"scheme {len(tried)} of {len(LADDER)}"
        if last.passed:
            return (
                f"will probably ship as {last.how!r} ({of}): {last.flips} of {last.images} decisions flip, "
                f"mean |Δ score| {last.score_mean:.2g}, {last.size_bytes:,} bytes"
            )
        if len(tried) >= len(LADDER):
            return f"will probably not ship: none of {len(tried)} schemes passed. {last.text()}"
        few = "scheme 1 did" if len(tried) == 1 else f"schemes 1 to {len(tried)} did"
        return f"{few} not pass here; the export tries up to {len(LADDER)}. {last.text()}"


class TimedLadder:
    """The schemes of the search until the time for a format is over; each iteration is for the next format."""

    def __init__(self, began: float) -> None:
        self._ends = iter([began + seconds for seconds in SEARCH_UNTIL_S.values()])

    def __iter__(self) -> Iterator[Quantisation]:
        end = next(self._ends)
        for place, how in enumerate(LADDER):
            if place and time.monotonic() > end:
                return
            yield how


def preview(source: SourceModel, calibration: Path, *, float16: bool = False, insist: bool = False) -> Preview:
    """Try an export of ``source`` on few images; nothing is written outside the folder for temporary files.

    Args:
        calibration: folder of images, or folder with a ``samples.csv`` that lists published images.
        float16: convert to float16 too.
        insist: go on if the labelled images contradict the model.

    Raises:
        ExportError: as the export would.
    """
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="export-preview-") as hidden,
        ExportProgress(float16=float16) as progress,
        usages() as used,
    ):
        work = ExportFolder(Path(hidden) / "bundle", Path(hidden) / "scratch")
        work.bundle.mkdir()
        work.scratch.mkdir()
        progress.begin(Stage.READ)
        few = Reading(work.scratch, most=FEWEST)
        images, held_out = source.images(calibration, few, Reading(work.scratch, most_mib=PARITY_MIB))
        reading_s = time.monotonic() - began
        drawn = golden_tensors(source.spec)
        progress.begin(Stage.KERAS)
        network, logits = examine(source, work, held_out.tensors, images.tensors, drawn)
        judged, ranges = ParityImages(held_out.tensors, logits[0]), ParityImages(images.tensors, logits[1])
        contradict(source, held_out, logits[0], network, work.scratch, insist)
        progress.begin(Stage.HEATMAPS)
        explained = heatmaps.examine(network, source.spec, judged, ParityImages(drawn, logits[2]), work)
        sets = judged.tensors, drawn, ranges.tensors
        mapped = feature_map.examine(network, explained.network, source.spec, *sets, work.scratch)
        before = len(used)
        converting = time.monotonic()
        attempts = convert(
            *(mapped.network, mapped.explained, source.spec, judged, ranges, work),
            float16=float16,
            moments=mapped.ranges,
            progress=progress,
            plan=SearchPlan(ladder=TimedLadder(began), report=False),
        )
        inference_s = time.monotonic() - converting - sum(usage.seconds for usage in used[before:])
        files = {path.name: path.stat().st_size for _, _, path in work.written()}
    largest = max(used, key=lambda usage: usage.peak_bytes)
    times = Times(reading_s, inference_s, tuple(used), (_count(images), _count(held_out)))
    return Preview(
        name=f"{source.spec.name} {source.spec.version}, contract {source.spec.contract}",
        attempts=attempts,
        files=files,
        ranges=_count(images),
        judged=_count(held_out),
        seconds=times.export(_missing(attempts)),
        taken=time.monotonic() - began,
        peak_bytes=max(largest.peak_bytes, peak_bytes()),
        peak_step=_STEPS.get(largest.module, "a conversion"),
        disk_bytes=_disk(source, images, held_out, sum(files.values())),
    )


@dataclass(frozen=True)
class Times:
    """Measured times of a preview.

    Attributes:
        reading_s: reading and preprocessing both sets of images.
        inference_s: running the model files in the command's own process.
        used: the jobs.
        counts: for calibration and parity images, the number in the preview and in the export.
    """

    reading_s: float
    inference_s: float
    used: tuple[Usage, ...]
    counts: tuple[tuple[int, int], tuple[int, int]]

    def export(self, missing: int) -> float:
        """Return the expected duration of the export, in seconds.

        Args:
            missing: number of schemes that the export may try and the preview did not.
        """
        ranges, judged = (full / few for few, full in self.counts)
        few, full = (sum(counts) for counts in zip(*self.counts, strict=True))
        both = full / few
        scale = {"keras_model": both, "feature_map": both, "heatmaps": min(judged, heatmaps.IMAGES / self.counts[1][0])}
        jobs = [grown(usage, scale.get(usage.module, ranges)) for usage in self.used]
        schemes = [job for job, usage in zip(jobs, self.used, strict=True) if usage.job.endswith("write_quantised")]
        further = missing * sum(schemes) / max(1, len(schemes))
        # the export runs all files once more for the manifest
        return self.reading_s * both + sum(jobs) + further + 2 * self.inference_s * judged


def grown(usage: Usage, factor: float) -> float:
    """Return the time of a job with ``factor`` times as many images, in seconds; at least the measured time."""
    return usage.seconds + usage.image_seconds * max(0.0, factor - 1)


def _missing(attempts: Sequence[Attempt]) -> int:
    """Return the number of schemes that were not tried for files of which none passed."""
    by_file = {attempt.file: [a for a in attempts if a.file == attempt.file] for attempt in attempts}
    return sum(max(0, len(LADDER) - len(tried)) for tried in by_file.values() if not tried[-1].passed)


def _count(images: PreparedImages) -> tuple[int, int]:
    return len(images.tensors), images.of or len(images.tensors)


def _disk(source: SourceModel, images: PreparedImages, held_out: PreparedImages, files: int) -> int:
    """Return the size of the scratch files of tensors (three copies at most) and of the model files, in bytes."""
    sets = {id(each): _count(each)[1] for each in (images, held_out)}
    copies = 2 if source.spec.network_check is None else 3
    return copies * sum(sets.values()) * tensor_bytes(source.spec) + 4 * files


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{max(1, round(size / 1e6))} MB"
