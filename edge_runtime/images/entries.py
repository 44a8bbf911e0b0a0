"""Rules for the entries of a folder that are left out: by name and by content."""

from __future__ import annotations

from edge_runtime.images.content import ContentKind
from edge_runtime.images.left_out import LeftOutReason

_IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".pgm", ".ppm", ".pnm", ".pbm", ".pam", ".pfm", ".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".j2c"),
    *(".jpf", ".jpx", ".jxl", ".jxr", ".jls", ".psd", ".exr", ".qoi", ".svs", ".ndpi", ".nii"),
)
"""Extensions of files that count as images whatever they contain, so that truncated and empty images are reported."""

_DICOM_SUFFIXES = (".dcm", ".dicom")
_CAMERA_RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".pef", ".srw", ".3fr", ".erf", ".kdc", ".dcr", ".mos", ".mef"),
)
"""Extensions of TIFF files whose first image is a small preview, which must not be predicted instead of the image."""

_THUMBNAIL_FOLDERS = frozenset({"@eadir", "@__thumb", ".@__thumb", ".thumbnails"})  # Synology, QNAP, Linux
_SYSTEM = frozenset(
    {
        *("__macosx", ".ds_store", "icon\r", ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "system volume information"),
        *("lost+found", "#recycle", "@recycle", "@tmp", "#snapshot", "@recently-snapshot"),
    }
)
"""Lower-case names of files and folders that operating systems and network drives create."""

_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".opdownload", ".download", ".aria2")
"""Extensions that programs use for a file until it is complete."""


def reason_of_name(name: str, is_folder: bool) -> LeftOutReason | None:
    """Return why an entry is left out because of its name; None if its content must be checked."""
    lower = name.lower()
    if is_folder and lower in _THUMBNAIL_FOLDERS:
        return LeftOutReason.THUMBNAIL_FOLDER
    if lower in _SYSTEM:
        return LeftOutReason.SYSTEM
    if name.startswith("._") and not is_folder:
        return LeftOutReason.APPLE_DOUBLE
    if name.startswith((".", "~")) or name.endswith("~"):
        return LeftOutReason.HIDDEN
    return LeftOutReason.UNFINISHED if not is_folder and lower.endswith(_UNFINISHED) else None


def reason_of_path(path: str) -> LeftOutReason | None:
    """Return why a file in a tar file or zip is left out because of a name in its path, as :func:`reason_of_name`."""
    *folders, file = path.removeprefix("./").split("/")
    for name, is_folder in (*((folder, True) for folder in folders), (file, False)):
        if reason := reason_of_name(name, is_folder):
            return reason
    return None


def reason_of_content(path: str, kind: ContentKind, *, dicom: bool = False) -> LeftOutReason | None:
    """Return why a regular file is left out because of its content; None for an image.

    Args:
        path: its path.
        kind: its kind by content.
        dicom: whether DICOM files count as images.
    """
    if kind is ContentKind.APPLE_DOUBLE:
        return LeftOutReason.APPLE_DOUBLE
    if has_image_suffix(path):
        return None
    if kind is ContentKind.CAMERA_RAW or (kind is ContentKind.IMAGE and _has_suffix(path, _CAMERA_RAW_SUFFIXES)):
        return LeftOutReason.CAMERA_RAW
    if kind is ContentKind.DICOM or (kind is ContentKind.OTHER and _has_suffix(path, _DICOM_SUFFIXES)):
        return None if dicom else LeftOutReason.DICOM
    return None if kind is ContentKind.IMAGE else LeftOutReason.UNKNOWN_KIND


def unless_image(path: str, reason: LeftOutReason) -> LeftOutReason | None:
    """Return ``reason`` for an entry without readable content; None if its extension is an image's."""
    return None if has_image_suffix(path) else reason


def has_image_suffix(path: str) -> bool:
    """Return whether the file name has an image extension, so that a result or an error is expected for it."""
    return _has_suffix(path, _IMAGE_SUFFIXES)


def _has_suffix(path: str, suffixes: tuple[str, ...]) -> bool:
    return path.lower().endswith(suffixes)
