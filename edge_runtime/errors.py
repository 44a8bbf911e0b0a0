"""Every error that this package raises on purpose.

    EdgeError                           exit 1
    ├── ImageError                      exit 1   one image cannot be answered; the batch goes on
    │   ├── ImageNotFoundError
    │   ├── ImageUnreadableError                 empty, truncated, damaged, or no image at all
    │   ├── ImageUnsupportedError                readable, but not what the model was made for
    │   ├── ImageSizeError                       too small to mean anything, or too large to decode
    │   └── ImageRegionError                     the marked region is no place in this image
    ├── UsageError                      exit 2   an argument cannot be used
    │   ├── ResultsError                         a results file cannot take these answers
    │   ├── KeyFileError                         a key file is missing, exists already, or holds no key of that kind
    │   └── RegionError                          a region is no region, or the model is not asked in this way
    ├── BundleError                     exit 3   the model cannot be trusted
    │   ├── BundleNotFoundError
    │   ├── ManifestError                        bundle.json or an embedded spec is not understood
    │   ├── IntegrityError                       a file is not the one that the manifest names
    │   ├── StoreError                           installed bundles cannot be read or changed
    │   ├── SaliencyError                        a heatmap is wanted, and the bundle holds no parts for one
    │   ├── SignatureError                       a key is trusted, and bundle.json is not what its owner signed
    │   └── SigningMissingError                  a key is trusted, and nothing here can check a signature
    ├── BackendError                    exit 4   no interpreter can run the model here
    │   ├── InterpreterMissingError
    │   ├── InterpreterBrokenError
    │   └── KnownAnswersError                    a model file gives other answers here than where it was made
    ├── WriteError                      exit 5   an answer could not be written: the disk is full or gone
    │   ├── OutputError                          to stdout
    │   └── ResultsWriteError                    to the results file
    └── MachineError                    exit 6   memory, descriptors, I/O: no fault of the image, which is asked again

Each message says what was found, what was expected, where, and what to do. ``code`` is stable and
meant for programs; the message is meant for people and may change.
"""

from __future__ import annotations


class EdgeError(Exception):
    """Root of the tree. ``code`` names the fault for programs, ``exit_code`` is the command's."""

    exit_code = 1
    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code

    def __reduce__(self) -> tuple[type[EdgeError], tuple[str], dict[str, str]]:
        """Keep ``code`` when an error crosses a process boundary."""
        return type(self), (self.message,), {"code": self.code}


class ImageError(EdgeError):
    """One image cannot be answered.

    Attributes:
        sha256: of the bytes that were refused; None where none were read.
    """

    default_code = "image"
    sha256: str | None = None

    def __reduce__(self) -> tuple[type[EdgeError], tuple[str], dict[str, str]]:
        """Keep ``sha256``, too."""
        kind, message, state = super().__reduce__()
        return kind, message, state if self.sha256 is None else {**state, "sha256": self.sha256}


class ImageNotFoundError(ImageError):
    """The path leads to no file."""

    default_code = "image_not_found"


class ImageUnreadableError(ImageError):
    """The bytes are empty, truncated, damaged, or not an image."""

    default_code = "image_unreadable"


class ImageUnsupportedError(ImageError):
    """The image is sound, but decoding it would not give the pixels that the model was made for."""

    default_code = "image_unsupported"


class ImageSizeError(ImageError):
    """The image is too small to mean anything, or declares more pixels than will be decoded."""

    default_code = "image_size"


class ImageRegionError(ImageError):
    """The marked region lies outside the image, or too little or too much would be cut. ``code`` says which."""


class UsageError(EdgeError):
    """An argument cannot be used."""

    exit_code = 2
    default_code = "usage"


class ResultsError(UsageError):
    """The results file cannot take these answers; it was not altered. ``code`` says why."""

    default_code = "results"


class KeyFileError(UsageError):
    """A key file is missing, exists already, or does not hold the kind of key that is needed."""

    default_code = "key_file"


class RegionError(UsageError):
    """A region is none, is missing where the model needs it, or is given where it takes none; ``code`` says which."""

    default_code = "region_invalid"


class BundleError(EdgeError):
    """The model cannot be trusted."""

    exit_code = 3
    default_code = "bundle"


class BundleNotFoundError(BundleError):
    """No bundle stands at the path, and none of that name ships."""

    default_code = "bundle_not_found"


class ManifestError(BundleError):
    """A manifest or an embedded spec is malformed, or from a newer schema."""

    default_code = "manifest"


class IntegrityError(BundleError):
    """A file's SHA-256 is not the one that the manifest names, or the file is missing."""

    default_code = "integrity"


class StoreError(BundleError):
    """Installed bundles cannot be read or changed; the version in use is still a whole one."""

    default_code = "store"


class SaliencyError(BundleError):
    """A heatmap is wanted of a model whose bundle holds no parts for one."""

    default_code = "saliency_missing"


class SignatureError(BundleError):
    """A key is trusted, and the bundle is unsigned, signed by another key, or altered after signing."""

    default_code = "signature"


class SigningMissingError(BundleError):
    """The package that checks signatures is not installed; nothing passes unchecked."""

    default_code = "signing_missing"


class BackendError(EdgeError):
    """No interpreter can run the model here."""

    exit_code = 4
    default_code = "backend"


class InterpreterMissingError(BackendError):
    """The interpreter's package is not installed."""

    default_code = "interpreter_missing"


class InterpreterBrokenError(BackendError):
    """The interpreter's package is installed, but it does not start or refuses the model."""

    default_code = "interpreter_broken"


class KnownAnswersError(BackendError):
    """A model file gives other logits here than where the bundle was made, so that its answers cannot be trusted."""

    default_code = "known_answers"


class WriteError(EdgeError):
    """An answer could not be written; every earlier one stands."""

    exit_code = 5
    default_code = "write"


class OutputError(WriteError):
    """Stdout takes no more: what it leads to is full or gone."""

    default_code = "output"


class ResultsWriteError(WriteError):
    """The results file takes no more."""

    default_code = "results_write"


class MachineError(EdgeError):
    """The machine failed while an image was answered; the image may be sound, and a later try may succeed.

    ``code`` is ``machine_memory``, ``machine_descriptors``, ``machine_space``, ``machine_busy`` or ``machine_io``
    (:mod:`edge_runtime.platform.machine_faults`).
    """

    exit_code = 6
    default_code = "machine_io"
