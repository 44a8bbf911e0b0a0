"""Every error that this package raises on purpose.

    EdgeError                           exit 1
    ├── ImageError                      exit 1   one image is rejected; the batch continues
    │   ├── ImageNotFoundError                   no file at the path
    │   ├── ImageUnreadableError                 empty, truncated, damaged, or not an image
    │   ├── ImageUnsupportedError                a valid image that the model cannot take
    │   ├── ImageSizeError                       too few pixels for the model, or too many to decode
    │   ├── ImageScaleError                      the stated microns per pixel are not the model's
    │   ├── DicomError                           a DICOM object that is damaged, or not what the model is made for
    │   ├── SlideError                           a slide, or a tile of it, cannot be read at the model's scale
    │   └── ImageRegionError                     the marked region does not fit this image
    ├── UsageError                      exit 2   an argument is invalid
    │   ├── ResultsError                         the results file cannot take these predictions
    │   ├── AcceptanceError                      the cases or the protocol of a site acceptance cannot be used
    │   │   └── CasesError                       the list of cases is invalid
    │   ├── CalibrationError                     the cases cannot calibrate a model for a site
    │   ├── DriftError                           answers and reference cannot be compared
    │   │   └── DriftCasesError                      an image of the answers is in no case
    │   ├── ArchiveError                         the plan, a source or a shard of an archive cannot be used
    │   ├── AuditError                           a file is no audit log, or an audit log cannot be read
    │   ├── KeyFileError                         the key file is missing, exists already, or has no such key
    │   └── RegionError                          the region is invalid, missing or unexpected
    ├── BundleError                     exit 3   the model cannot be trusted
    │   ├── BundleNotFoundError                  no bundle at the path or of that name
    │   ├── ManifestError                        bundle.json or an embedded spec is invalid
    │   ├── IntegrityError                       a file does not match its SHA-256 in the manifest
    │   ├── StoreError                           installed bundles cannot be read or changed
    │   ├── SitePolicyError                      the site policy is missing, invalid, or of another model
    │   ├── SaliencyError                        the bundle has no parts for heatmaps
    │   ├── SignatureError                       bundle.json is not signed by a trusted key
    │   └── SigningMissingError                  the package that checks signatures is missing
    ├── BackendError                    exit 4   no interpreter can run the model here
    │   ├── InterpreterMissingError              the package is not installed
    │   ├── InterpreterBrokenError               the package does not load, or rejects the model
    │   └── KnownAnswersError                    the logits differ from those recorded at export
    ├── WriteError                      exit 5   a prediction could not be written
    │   ├── OutputError                          to stdout
    │   ├── ResultsWriteError                    to the results file
    │   ├── ArchiveWriteError                    to the folder of an archive
    │   └── AuditWriteError                      an entry, to the audit log
    └── MachineError                    exit 6   memory, descriptors or I/O failed; the image may be sound

Each message says what was found, what was expected, where, and what to do. ``code`` is stable and meant for
programs. The message is meant for people and may change.
"""

from __future__ import annotations


class EdgeError(Exception):
    """Base class. ``code`` identifies the error for programs; ``exit_code`` is the exit status of the command."""

    exit_code = 1
    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code

    def __reduce__(self) -> tuple[type[EdgeError], tuple[str], dict[str, str]]:
        """Keep ``code`` when an error crosses a process boundary."""
        return type(self), (self.message,), {"code": self.code}

    def __eq__(self, other: object) -> bool:
        """Return whether type, message and attributes are equal, as after :mod:`pickle`."""
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        """Hash what does not change after an error is raised."""
        return hash((type(self), self.message, self.code))


class ImageError(EdgeError):
    """One image is rejected.

    Attributes:
        sha256: SHA-256 of the rejected bytes; None if no bytes were read.
    """

    default_code = "image"
    sha256: str | None = None

    def __reduce__(self) -> tuple[type[EdgeError], tuple[str], dict[str, str]]:
        """Keep ``code`` and ``sha256`` when an error crosses a process boundary."""
        kind, message, state = super().__reduce__()
        return kind, message, state if self.sha256 is None else {**state, "sha256": self.sha256}


class ImageNotFoundError(ImageError):
    """There is no file at the path."""

    default_code = "image_not_found"


class ImageUnreadableError(ImageError):
    """The bytes are empty, truncated, damaged, or not an image."""

    default_code = "image_unreadable"


class ImageUnsupportedError(ImageError):
    """The image is valid, but its pixel format (depth, alpha, palette and others) does not suit the model."""

    default_code = "image_unsupported"


class ImageSizeError(ImageError):
    """The image has fewer pixels than the model needs, or more than the decoder accepts."""

    default_code = "image_size"


class ImageScaleError(ImageError):
    """The stated scale of the image, in microns per pixel, is not the one that the model is made for."""

    default_code = "image_scale_wrong"


class SlideError(ImageError):
    """A whole slide, or a tile of it, cannot be read at the model's scale; see ``code``."""

    default_code = "slide"


class ImageRegionError(ImageError):
    """The marked region lies outside the image, is too small or too large, or shows no tissue; see ``code``."""


class DicomError(ImageError):
    """A DICOM object is damaged, or its pixels are not what the model is made for; see ``code``."""

    default_code = "dicom_damaged"


class UsageError(EdgeError):
    """An argument is invalid."""

    exit_code = 2
    default_code = "usage"


class ResultsError(UsageError):
    """The results file cannot take these predictions. It was not changed. ``code`` gives the reason."""

    default_code = "results"


class AcceptanceError(UsageError):
    """A site acceptance cannot go on: protocol, cases or answers are not those that were fixed; see ``code``."""

    default_code = "acceptance"


class CasesError(AcceptanceError):
    """The list of cases is invalid: a column, an image or a label is missing, unknown or contradicts another."""

    default_code = "acceptance_cases"


class CalibrationError(UsageError):
    """Labelled cases cannot calibrate a model for a site: too few, or no thresholds meet the target; see ``code``."""

    default_code = "calibration_target"


class DriftError(UsageError):
    """Answers cannot be compared with a reference: mixed or other models, no reference, or no case; see ``code``."""

    default_code = "drift"


class DriftCasesError(DriftError):
    """The list or the pattern of the cases is invalid, or has no case for an image of the answers."""

    default_code = "drift_cases"


class ArchiveError(UsageError):
    """A plan, a source or a shard of an archive cannot be used. ``code`` gives the reason."""

    default_code = "archive_source"


class AuditError(UsageError):
    """A file is no audit log, or an audit log, a checkpoint or an expected hash cannot be read; see ``code``."""

    default_code = "audit_unusable"


class KeyFileError(UsageError):
    """A key file is missing, exists already, or does not contain the required kind of key."""

    default_code = "key_file"


class RegionError(UsageError):
    """A region is invalid, is missing, or is given to a model that takes none; see ``code``."""

    default_code = "region_invalid"


class BundleError(EdgeError):
    """The model cannot be trusted."""

    exit_code = 3
    default_code = "bundle"


class BundleNotFoundError(BundleError):
    """There is no bundle at the path, and no installed or shipped bundle has that name."""

    default_code = "bundle_not_found"


class ManifestError(BundleError):
    """A manifest or an embedded spec is malformed, or uses a newer schema."""

    default_code = "manifest"


class IntegrityError(BundleError):
    """A file is missing, or its SHA-256 differs from the one in the manifest."""

    default_code = "integrity"


class StoreError(BundleError):
    """Installed bundles cannot be read or changed. The current version is still complete."""

    default_code = "store"


class SitePolicyError(BundleError):
    """A site policy is missing, altered, invalid, or of another model, version, bundle or contract; see ``code``."""

    default_code = "site_policy_invalid"


class SaliencyError(BundleError):
    """A heatmap was requested, but the bundle contains no parts for heatmaps."""

    default_code = "saliency_missing"


class SignatureError(BundleError):
    """A key is trusted, but the bundle is unsigned, signed by another key, or altered after signing."""

    default_code = "signature"


class SigningMissingError(BundleError):
    """A key is trusted, but the package that checks signatures is not installed. The bundle is rejected."""

    default_code = "signing_missing"


class BackendError(EdgeError):
    """No interpreter can run the model here."""

    exit_code = 4
    default_code = "backend"


class InterpreterMissingError(BackendError):
    """The interpreter's package is not installed."""

    default_code = "interpreter_missing"


class InterpreterBrokenError(BackendError):
    """The interpreter's package is installed, but it does not load, or it rejects the model."""

    default_code = "interpreter_broken"


class KnownAnswersError(BackendError):
    """The logits of a model file differ on this machine from those recorded at export, by more than the tolerance."""

    default_code = "known_answers"


class WriteError(EdgeError):
    """A prediction could not be written. Every earlier one is complete."""

    exit_code = 5
    default_code = "write"


class OutputError(WriteError):
    """Stdout cannot be written: it is closed, or its target is full or gone."""

    default_code = "output"


class ResultsWriteError(WriteError):
    """The results file cannot be written."""

    default_code = "results_write"


class ArchiveWriteError(WriteError):
    """A file in the folder of an archive cannot be written. The finished shards are complete."""

    default_code = "archive_write"


class AuditWriteError(WriteError):
    """The audit log cannot be written. Answers are not affected; the log says later what it missed."""

    default_code = "audit_write"


class MachineError(EdgeError):
    """The machine failed while an image was processed. The image may be sound; a later attempt may succeed.

    ``code`` is ``machine_memory``, ``machine_descriptors``, ``machine_space``, ``machine_busy`` or ``machine_io``
    (:mod:`edge_runtime.platform.machine_faults`), or ``machine_worker``: a worker process ended.
    """

    exit_code = 6
    default_code = "machine_io"
