"""Which entries of a folder are left out, by their names and by what they hold."""

from __future__ import annotations

from edge_runtime.images.content import ContentKind
from edge_runtime.images.left_out import LeftOutReason

_IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".pgm", ".ppm", ".pnm", ".pbm", ".pam", ".pfm", ".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".j2c"),
    *(".jpf", ".jpx", ".jxl", ".jxr", ".jls", ".psd", ".exr", ".qoi", ".svs", ".ndpi", ".nii"),
)
"""Endings by which a file is answered or refused by name whatever is in it: a cut or empty image has no content."""

_DICOM_SUFFIXES = (".dcm", ".dicom")
_CAMERA_RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".pef", ".srw", ".3fr", ".erf", ".kdc", ".dcr", ".mos", ".mef"),
)
"""TIFF files whose first image is a small preview: an answer to it would be an answer to another image."""

_THUMBNAIL_FOLDERS = frozenset({"@eadir", "@__thumb", ".@__thumb", ".thumbnails"})  # Synology, QNAP, Linux
_SYSTEM = frozenset(
    {
        *("__macosx", ".ds_store", "icon\r", ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "system volume information"),
        *("lost+found", "#recycle", "@recycle", "@tmp", "#snapshot", "@recently-snapshot"),
    }
)
"""Names in lower case of what operating systems and network drives put beside the files of people."""

_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".opdownload", ".download", ".aria2")
"""Endings under which programs write what they rename when it is whole."""


def reason_of_name(name: str, is_folder: bool) -> LeftOutReason | None:
    """Return why an entry is left out whatever it holds; None where that decides."""
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


def reason_of_content(path: str, kind: ContentKind) -> LeftOutReason | None:
    """Return why a regular file is left out; None for an image."""
    if kind is ContentKind.APPLE_DOUBLE:
        return LeftOutReason.APPLE_DOUBLE
    if has_image_suffix(path):
        return None
    if kind is ContentKind.CAMERA_RAW or (kind is ContentKind.IMAGE and _has_suffix(path, _CAMERA_RAW_SUFFIXES)):
        return LeftOutReason.CAMERA_RAW
    if kind is ContentKind.DICOM or (kind is ContentKind.OTHER and _has_suffix(path, _DICOM_SUFFIXES)):
        return LeftOutReason.DICOM
    return None if kind is ContentKind.IMAGE else LeftOutReason.UNKNOWN_KIND


def unless_image(path: str, reason: LeftOutReason) -> LeftOutReason | None:
    """Return ``reason`` for what has no content to judge; None where its ending says image: it fails by name then."""
    return None if has_image_suffix(path) else reason


def has_image_suffix(path: str) -> bool:
    """Tell whether an answer, or a refusal by name, is expected for a file of this name."""
    return _has_suffix(path, _IMAGE_SUFFIXES)


def _has_suffix(path: str, suffixes: tuple[str, ...]) -> bool:
    return path.lower().endswith(suffixes)
