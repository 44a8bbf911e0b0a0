"""Objects of unusual kinds: each is read right, or refused by name. Nothing is guessed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.codestreams import read_codestream
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.isolation import end_decoder
from edge_runtime.dicom.pixels import image_of
from edge_runtime.dicom.syntaxes import Codec
from edge_runtime.errors import DicomError
from tests.dicom_objects import (
    BASELINE,
    BIG_ENDIAN,
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_RPCL,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS_SV1,
    MAMMOGRAM,
    RLE,
    SHOWN,
    ULTRASOUND,
    ULTRASOUND_FRAMES,
    can_write,
    file_of,
    image,
    meant,
    saved,
)
from tests.dicom_specs import ANYTHING, SOUND, X_RAY

GREY = SHOWN
THREE = np.stack([GREY] * 3, -1)
COLOUR = np.stack([GREY, np.roll(GREY, 40, 1), np.roll(GREY, 80, 0)], -1)
DEEP, SIGNED = GREY.astype(np.uint16) * 16, GREY.astype(np.int16) * 16 - 2048
CLIP = np.stack([GREY, np.roll(GREY, 50, 1), 255 - GREY])
TRACKS = [np.roll(np.arange(256), 17 * each) for each in range(3)]


def shown(content: Dataset | bytes, spec: ModelSpec = ANYTHING) -> np.ndarray[Any, Any]:
    return image_of(read_dataset(content if isinstance(content, bytes) else file_of(content)), spec).pixels


def code(content: Dataset | bytes, spec: ModelSpec = ANYTHING) -> str:
    with pytest.raises(DicomError) as caught:
        shown(content, spec)
    return caught.value.code


def palette(bits: int = 16, segmented: bool = False, order: str = "<") -> Dataset:
    found = image(GREY, PhotometricInterpretation="PALETTE COLOR")
    for colour, track in zip(("Red", "Green", "Blue"), TRACKS, strict=True):
        name = f"{colour}PaletteColorLookupTable"
        setattr(found, f"{name}Descriptor", [256, 0, bits])
        found[f"{name}Descriptor"].VR = "US"
        values = (track * 256).astype(f"{order}u2") if bits == 16 else track.astype(np.uint8)
        if segmented:
            values = np.array([0, 256, *values], "<u2")
            setattr(found, f"Segmented{name}Data", values.tobytes())
        else:
            setattr(found, f"{name}Data", values.tobytes())
    return found


def by_planes(pixels: np.ndarray[Any, Any]) -> Dataset:
    found = image(pixels, PlanarConfiguration=1)
    found.PixelData = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
    return found


def with_overlay() -> Dataset:
    found = image(GREY)
    for tag, vr, value in (
        *((0x60000010, "US", 240), (0x60000011, "US", 300), (0x60000040, "CS", "G"), (0x60000050, "SS", [1, 1])),
        *((0x60000100, "US", 1), (0x60000102, "US", 0), (0x60003000, "OW", bytes(240 * 300 // 8))),
    ):
        found.add_new(tag, vr, value)
    return found


def odd_text() -> bytes:
    """A file with a value of 11 bytes, which PS3.5 forbids and some devices write."""
    content = file_of(image(GREY))
    place = content.index(b"\x28\0\x04\0CS")
    length = struct.unpack_from("<H", content, place + 6)[0]
    return content[: place + 6] + struct.pack("<H", 11) + b"MONOCHROME2" + content[place + 8 + length :]


RIGHT: dict[str, tuple[Callable[[], Dataset | bytes], Any]] = {
    "big endian colour": (lambda: file_of(image(COLOUR), BIG_ENDIAN), COLOUR),
    "palette of 16 bits": (palette, np.stack([each[GREY] for each in TRACKS], -1)),
    "palette of 8 bits": (lambda: palette(8), np.stack([each[GREY] for each in TRACKS], -1)),
    "palette, big endian": (
        lambda: file_of(palette(order=">"), BIG_ENDIAN),
        np.stack([each[GREY] for each in TRACKS], -1),
    ),
    "palette in segments": (lambda: palette(segmented=True), np.stack([each[GREY] for each in TRACKS], -1)),
    "palette, RLE": (lambda: file_of(palette(), RLE), np.stack([each[GREY] for each in TRACKS], -1)),
    "planes": (lambda: by_planes(COLOUR), COLOUR),
    "planes, RLE": (lambda: file_of(by_planes(COLOUR), RLE), COLOUR),
    "planes, JPEG lossless": (lambda: file_of(by_planes(COLOUR), LOSSLESS_SV1), COLOUR),
    "planes, JPEG-LS": (lambda: file_of(by_planes(COLOUR), JPEG_LS), COLOUR),
    "JPEG 2000": (lambda: file_of(image(COLOUR), JPEG_2000), COLOUR),
    "HTJ2K": (lambda: file_of(image(COLOUR), HTJ2K_LOSSLESS), COLOUR),
    "HTJ2K, RPCL": (lambda: file_of(image(COLOUR), HTJ2K_RPCL), COLOUR),
    "overlay beside the pixels": (with_overlay, GREY),
    "odd number of pixels": (lambda: image(meant(15, 31)), meant(15, 31)),
    "odd length of a text": (odd_text, GREY),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_read_right(kind: str) -> None:
    make, expected = RIGHT[kind]
    if ("RLE" in kind or "JPEG" in kind) and not can_write(RLE):
        pytest.skip("no dcmtk")
    assert np.array_equal(shown(make()), expected)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (100, 140), (240, 300)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_small_colour_frames_of_jpeg_are_read(size: tuple[int, int], subsampling: int) -> None:
    """The first product of matrices reserves 32 MB, which ended the decoder under its limit of memory."""
    end_decoder()
    pixels, out = np.ascontiguousarray(COLOUR[: size[0], : size[1]]), BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95, subsampling=subsampling)
    found = image(pixels, PhotometricInterpretation="YBR_FULL_422")
    found.PixelData = encapsulate([out.getvalue()])
    found["PixelData"].VR, found["PixelData"].is_undefined_length = "OB", True
    expected = np.asarray(Image.open(out)).astype(int)
    assert np.abs(shown(saved(found, BASELINE)).astype(int) - expected).mean() < 2


def test_lossy_htj2k_is_near_and_only_for_models_that_take_loss() -> None:
    content = file_of(image(COLOUR), HTJ2K)
    assert np.abs(shown(content).astype(int) - COLOUR).max() <= 2
    assert code(file_of(image(GREY, MAMMOGRAM, ImagerPixelSpacing=[0.2, 0.2]), HTJ2K), X_RAY) == "dicom_lossy"


def in_syntax(uid: str) -> bytes:
    content = file_of(image(GREY))
    place = content.index(b"\x02\0\x10\0UI")
    length = struct.unpack_from("<H", content, place + 6)[0]
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return content[: place + 6] + struct.pack("<H", len(value)) + value + content[place + 8 + length :]


@pytest.mark.parametrize(
    "uid",
    [
        *("1.2.840.113619.5.2", "1.3.46.670589.33.1.4.1"),  # private
        *(f"1.2.840.10008.1.2.4.{each}" for each in (110, 111, 112)),  # JPEG XL
        *(f"1.2.840.10008.1.2.4.{each}" for each in (52, 92, 94, 204, 205)),  # retired, multi-component, JPIP
        "1.2.840.10008.1.2.8.1",  # deflated frames
    ],
)
def test_other_syntaxes_are_refused_by_name(uid: str) -> None:
    assert code(in_syntax(uid)) == "dicom_compression"


def relabelled(make: Callable[[], bytes], **elements: Any) -> bytes:
    dataset = read_dataset(make())
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    from tests.dicom_sources import encoded

    return encoded(dataset)


def luminance(pixels: np.ndarray[Any, Any]) -> Any:
    return convert_color_space(pixels, "RGB", "YBR_FULL")


REFUSED: dict[str, tuple[Callable[[], Dataset | bytes], ModelSpec, str]] = {
    "grey RGB that says YBR": (
        lambda: image(THREE, PhotometricInterpretation="YBR_FULL"), ANYTHING, "dicom_photometric",
    ),
    "grey YBR that says RGB": (lambda: image(luminance(THREE)), ANYTHING, "dicom_photometric"),
    "YBR_RCT without compression": (
        lambda: image(COLOUR, PhotometricInterpretation="YBR_RCT"), ANYTHING, "dicom_photometric",
    ),
    "JPEG 2000 with a transform that says YBR_FULL": (
        lambda: relabelled(lambda: file_of(image(COLOUR), JPEG_2000), PhotometricInterpretation="YBR_FULL"),
        ANYTHING, "dicom_photometric",
    ),
    "CMYK": (lambda: image(COLOUR, PhotometricInterpretation="CMYK"), ANYTHING, "dicom_photometric"),
    "three samples of grey": (
        lambda: image(COLOUR, PhotometricInterpretation="MONOCHROME2"), ANYTHING, "dicom_photometric",
    ),
    "a third planar configuration": (lambda: image(COLOUR, PlanarConfiguration=2), ANYTHING, "dicom_photometric"),
    "HTJ2K that says JPEG 2000": (
        lambda: relabelled_syntax(HTJ2K_LOSSLESS, JPEG_2000), ANYTHING, "dicom_decoding",
    ),
    "JPEG 2000 that says HTJ2K": (lambda: relabelled_syntax(JPEG_2000, HTJ2K_LOSSLESS), ANYTHING, "dicom_decoding"),
    "loss in a lossless syntax": (lambda: relabelled_syntax(HTJ2K, HTJ2K_LOSSLESS), ANYTHING, "dicom_lossy"),
    "pixels twice as high as wide": (lambda: image(GREY, PixelAspectRatio=[2, 1]), ANYTHING, "dicom_spacing_wrong"),
    "pixels at the upper bits": (lambda: left_aligned(), ANYTHING, "dicom_bits"),
    "32 bits": (lambda: image(GREY.astype(np.uint32)), ANYTHING, "dicom_bits"),
    "three bytes of padding": (lambda: padded(), ANYTHING, "dicom_size_wrong"),
    "an enhanced volume": (lambda: image(GREY, "1.2.840.10008.5.1.4.1.1.6.2"), SOUND, "dicom_not_accepted"),
    "tomosynthesis": (lambda: image(GREY, "1.2.840.10008.5.1.4.1.1.13.1.3"), X_RAY, "dicom_not_accepted"),
    "FOR PROCESSING": (
        lambda: image(GREY, MAMMOGRAM, PresentationIntentType="FOR PROCESSING"), X_RAY, "dicom_for_processing",
    ),
    "a table and no window": (lambda: by_table(), X_RAY, "dicom_window_kind"),
    "no Pixel Representation": (lambda: without("PixelRepresentation"), ANYTHING, "dicom_bits"),
    "no Samples per Pixel": (lambda: without("SamplesPerPixel"), ANYTHING, "dicom_photometric"),
    "a frame of more bits than allocated": (lambda: framed(GREY, [DEEP]), ANYTHING, "dicom_bits"),
    "a signed frame of unsigned pixels": (
        lambda: framed(DEEP, [SIGNED], JPEG_2000, BitsStored=12), ANYTHING, "dicom_bits",
    ),
    "an unsigned frame of fewer bits than its signed pixels": (
        lambda: framed(SIGNED, [GREY], JPEG_2000), ANYTHING, "dicom_bits",
    ),
    "two frames in an object of one": (lambda: framed(GREY, [GREY, GREY]), ANYTHING, "dicom_size_wrong"),
    "two planes of JPEG 2000 in an object of one": (
        lambda: framed(GREY, [GREY, GREY], JPEG_2000), ANYTHING, "dicom_size_wrong",
    ),
}  # fmt: skip


def without(keyword: str) -> Dataset:
    found = image(GREY)
    delattr(found, keyword)
    return found


def codestream(frame: np.ndarray[Any, Any], syntax: str) -> bytes:
    if syntax == JPEG_2000:
        found = bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0))
    else:
        found = bytes(imagecodecs.jpegls_encode(frame))
    return found + b"\0" * (len(found) % 2)


def framed(
    stated: np.ndarray[Any, Any],
    frames: Sequence[np.ndarray[Any, Any]],
    syntax: str = JPEG_LS,
    table: Callable[[list[int]], list[int]] = lambda offsets: offsets,
    **elements: Any,
) -> bytes:
    """An object of the stated pixels with other frames, and a Basic Offset Table that may be false."""
    found = image(stated, ULTRASOUND_FRAMES if stated.ndim == 3 else ULTRASOUND, **elements)
    if stated.dtype.itemsize == 2 and "WindowCenter" not in found:
        found.WindowCenter, found.WindowWidth = 0, 65536
    encoded = [codestream(each, syntax) for each in frames]
    offsets = table([0, *np.cumsum([8 + len(each) for each in encoded[:-1]]).tolist()])
    items = [struct.pack(f"<{len(offsets)}I", *offsets), *encoded]
    found.PixelData = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(each)) + each for each in items)
    found["PixelData"].VR, found["PixelData"].is_undefined_length = "OB", True
    return saved(found, syntax)


@pytest.mark.parametrize(
    "table, reads",
    [
        (lambda offsets: offsets, True),
        (lambda offsets: [], True),
        (lambda offsets: [offsets[0], offsets[2], offsets[1]], False),
        (lambda offsets: [0, 0, 0], False),
        (lambda offsets: [*offsets[1:], offsets[-1] + 8], False),
        (lambda offsets: offsets[:2], False),
        (lambda offsets: [offsets[0], offsets[1] + 2, offsets[2]], False),
    ],
)
def test_a_false_offset_table_gives_no_other_frame(table: Callable[[list[int]], list[int]], reads: bool) -> None:
    for number, frame in enumerate(CLIP, 1):
        dataset = read_dataset(framed(CLIP, CLIP, table=table))
        if reads:
            assert np.array_equal(image_of(dataset, ANYTHING, number).pixels, frame)
            continue
        with pytest.raises(DicomError) as caught:
            image_of(dataset, ANYTHING, number)
        assert caught.value.code == "dicom_size_wrong"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_clip_with_another_number_of_frames_is_refused(count: int) -> None:
    dataset = read_dataset(framed(CLIP, [GREY] * count, table=lambda offsets: []))
    with pytest.raises(DicomError) as caught:
        image_of(dataset, ANYTHING, 1)
    assert caught.value.code == "dicom_size_wrong"


@pytest.mark.parametrize("order, reads", [((0, 1, 2), True), ((0, 2, 1), False)])
def test_a_false_extended_table_gives_no_other_frame(order: tuple[int, ...], reads: bool) -> None:
    dataset = read_dataset(framed(CLIP, CLIP, table=lambda offsets: []))
    lengths = [len(codestream(each, JPEG_LS)) for each in CLIP]
    offsets = [0, 8 + lengths[0], 16 + lengths[0] + lengths[1]]
    dataset.ExtendedOffsetTable = struct.pack("<3Q", *(offsets[each] for each in order))
    dataset.ExtendedOffsetTableLengths = struct.pack("<3Q", *(lengths[each] for each in order))
    if reads:
        assert np.array_equal(image_of(dataset, ANYTHING, 2).pixels, CLIP[1])
        return
    with pytest.raises(DicomError) as caught:
        image_of(dataset, ANYTHING, 2)
    assert caught.value.code == "dicom_size_wrong"


def test_a_frame_may_use_fewer_bits_than_stored() -> None:
    """Archives trim the precision of JPEG 2000; the values are the same."""
    few = np.minimum(DEEP, 1023)
    narrow = bytes(imagecodecs.jpeg2k_encode(few, codecformat="j2k", reversible=True, level=0, bitspersample=10))
    stated = read_codestream(narrow, Codec.JPEG_2000)
    assert stated is not None and stated.bits == 10
    dataset = read_dataset(framed(few, [few], JPEG_2000, BitsStored=12, WindowCenter=512, WindowWidth=1024))
    wide = image_of(dataset, ANYTHING).pixels
    dataset.PixelData = encapsulate([narrow])
    assert np.array_equal(image_of(dataset, ANYTHING).pixels, wide)


def relabelled_syntax(written: str, stated: str) -> bytes:
    content = file_of(image(GREY), written)
    old, new = written.encode(), stated.encode()
    old, new = old + b"\0" * (len(old) % 2), new + b"\0" * (len(new) % 2)
    place = content.index(b"\x02\0\x10\0UI")
    return content[: place + 6] + struct.pack("<H", len(new)) + new + content[place + 8 + len(old) :]


def left_aligned() -> Dataset:
    found = image(GREY.astype(np.uint16) * 16, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    found.HighBit = 15
    return found


def padded() -> Dataset:
    found = image(meant(15, 31))
    found.PixelData = meant(15, 31).tobytes() + bytes(3)
    return found


def by_table() -> Dataset:
    found = image(GREY.astype(np.uint16) * 16, MAMMOGRAM, BitsStored=12, ImagerPixelSpacing=[0.2, 0.2])
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = (np.arange(4096) // 16).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    found.VOILUTSequence = [table]
    return found


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_name(kind: str) -> None:
    make, spec, expected = REFUSED[kind]
    assert code(make(), spec) == expected


def test_true_colours_are_not_taken_for_false_ones() -> None:
    for pixels in (THREE, COLOUR, np.full_like(THREE, 128), np.zeros_like(THREE)):
        assert np.array_equal(shown(image(pixels)), pixels)
        found = shown(image(luminance(pixels), PhotometricInterpretation="YBR_FULL"))
        assert np.abs(found.astype(int) - pixels).max() <= 1


def test_hostile_htj2k_ends_in_named_errors() -> None:
    """Cut, with false sizes, and with changed bytes: an error with a name, or pixels of the stated size."""
    encoded = bytearray(imagecodecs.htj2k_encode(GREY))
    dataset = read_dataset(file_of(image(GREY), HTJ2K_LOSSLESS))
    chance, codes = np.random.default_rng(4), set()
    for attempt in range(150):
        damaged = bytearray(encoded)
        if attempt % 3 == 0:
            del damaged[int(chance.integers(2, len(damaged))) :]
        else:
            last = 120 if attempt % 3 == 1 else len(damaged)  # the headers, or anywhere
            for _ in range(int(chance.integers(1, 5))):
                damaged[int(chance.integers(2, last))] = int(chance.integers(256))
        dataset.PixelData = encapsulate([bytes(damaged)])
        dataset["PixelData"].is_undefined_length = True
        try:
            assert image_of(dataset, ANYTHING).pixels.shape == GREY.shape
        except DicomError as error:
            codes.add(error.code)
    assert codes <= {"dicom_decoding", "dicom_size_wrong", "dicom_lossy", "dicom_photometric"}
    assert {"dicom_decoding", "dicom_size_wrong"} <= codes


def test_a_header_that_asks_for_gigabytes_is_refused_within_the_memory() -> None:
    """Precincts of 2 × 2 samples: a few bytes made the decoder allocate 9 GB."""
    from edge_runtime.dicom import isolation

    flat = np.zeros((2000, 2000), np.uint8)
    encoded = bytearray(imagecodecs.htj2k_encode(flat))
    coding = encoded.index(b"\xff\x52")
    length, levels = struct.unpack_from(">H", encoded, coding + 2)[0], encoded[coding + 9]
    encoded[coding + 4] |= 1
    encoded[coding + 2 : coding + 4] = struct.pack(">H", length + levels + 1)
    encoded[coding + 2 + length : coding + 2 + length] = bytes([0x11] * (levels + 1))
    dataset = read_dataset(file_of(image(flat), HTJ2K_LOSSLESS))
    assert image_of(dataset, ANYTHING).pixels.shape == flat.shape
    process = isolation._DECODER._process
    assert process is not None
    dataset.PixelData = encapsulate([bytes(encoded)])
    dataset["PixelData"].is_undefined_length = True
    with pytest.raises(DicomError) as caught:
        image_of(dataset, ANYTHING)
    assert caught.value.code == "dicom_decoding"
    if process.poll() is None:
        (peak,) = [line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmHWM" in line]
        assert int(peak.split()[1]) < 300_000


def test_what_headers_say() -> None:
    found = read_codestream(bytes(imagecodecs.htj2k_encode(COLOUR)), Codec.HTJ2K)
    assert found is not None
    assert (found.columns, found.rows, found.samples, found.lossy, found.luminance) == (300, 240, 3, False, True)
    grey = bytes(imagecodecs.jpegls_encode(GREY))
    assert (read_codestream(grey, Codec.JPEG_LS), read_codestream(grey, Codec.JPEG)) != (None, None)
    near = read_codestream(bytes(imagecodecs.jpegls_encode(GREY, level=2)), Codec.JPEG_LS)
    assert near is not None and near.lossy
    for codec in (Codec.JPEG, Codec.JPEG_LS, Codec.JPEG_2000, Codec.HTJ2K):
        assert read_codestream(b"", codec) is None and read_codestream(b"\xff\xd8\xff", codec) is None
