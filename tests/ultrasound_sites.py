"""Small layouts of BUSI, BUS-BRA and BrEaST with drawn images: dark lesions on smooth noise, no published pixel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import openpyxl

from training.data.datasets import breast_us, busbra, busi

SIZE_PX = (150, 170)
BOX = (40, 50, 80, 70)
"""Left, top, right and bottom of every drawn lesion; the last two are the first column and row after it."""

WORKBOOK = "BrEaST-Lesions-USG-clinical-data-Dec-15-2023.xlsx"
HEADER = ("CaseID", "Image_filename", "Mask_tumor_filename", "BIRADS", "Classification")


def image(seed: int, *, lesion: int = 60) -> npt.NDArray[np.uint8]:
    """Smooth noise with a box ``lesion`` grey levels darker, uint8 150×170; equal seeds give equal images."""
    noise = np.random.default_rng(seed).normal(0, 1, SIZE_PX)
    grey = 128 + 250 * cv2.GaussianBlur(noise, (0, 0), 2)
    left, top, right, bottom = BOX
    grey[top:bottom, left:right] -= lesion
    return np.clip(grey, 0, 255).astype(np.uint8)


def mask(*boxes: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """White boxes on black."""
    drawn = np.zeros(SIZE_PX, np.uint8)
    for left, top, right, bottom in boxes:
        drawn[top:bottom, left:right] = 255
    return drawn


def write(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_busi(root: Path, count: int = 6) -> None:
    """``count`` images of each label; malignant lesions are darker."""
    for turn, label in enumerate(busi.LABELS):
        for i in range(1, count + 1):
            place = root / busi.FOLDER / label / f"{label} ({i}).png"
            write(place, image(1000 * turn + i, lesion=(30, 110, 0)[turn]))
            write(place.with_name(f"{label} ({i})_mask.png"), mask() if label == "normal" else mask(BOX))


def write_busbra(root: Path, patients: int = 8) -> None:
    """Two images of each patient: even patients malignant, the first half with GE Logiq 7, the others with Logiq 5."""
    lines = ["ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side,BBOX"]
    for patient in range(1, patients + 1):
        kind = ("malignant", "benign")[patient % 2]
        device = "GE Logiq 7 @10-14MHz" if patient <= patients // 2 else "GE Logiq 5 @10-12MHz"
        for side, word in (("l", "left"), ("r", "right")):
            stem = f"{patient:04}-{side}"
            lines.append(f'bus_{stem},{patient},cyst,{kind},4,{device},170,150,{word},"[40,50,40,20]"')
            seed = 5000 + 10 * patient + (side == "r")
            write(root / busbra.FOLDER / f"Images/bus_{stem}.png", image(seed, lesion=110 if kind != "benign" else 30))
            write(root / busbra.FOLDER / f"Masks/mask_{stem}.png", mask(BOX))
    (root / busbra.FOLDER / busbra.TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_breast(root: Path, patients: int = 8) -> None:
    """One colour image with opaque alpha of each patient; benign, malignant, benign, … and the last one normal."""
    rows = []
    folder = root / breast_us.FOLDER
    for patient in range(1, patients + 1):
        name = f"case{patient:03}"
        label = "normal" if patient == patients else breast_us.LABELS[(patient + 1) % 2]
        grey = image(9000 + patient, lesion={"benign": 30, "malignant": 110, "normal": 0}[label])
        write(folder / f"{name}.png", np.dstack([grey, grey, grey, np.full_like(grey, 255)]))
        if label != "normal":
            write(folder / f"{name}_tumor.png", mask(BOX))
        rows.append((patient, f"{name}.png", None if label == "normal" else f"{name}_tumor.png", "4a", label))
    write_table(root / WORKBOOK, rows)


def write_table(path: Path, rows: list[tuple[object, ...]], header: tuple[str, ...] = HEADER) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (header, *rows):
        sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def write_sites(root: Path, *, nested: bool = False) -> Path:
    """All three sets in ``root``, or each in a folder of its own in it."""
    for name, writer in (("busi", write_busi), ("busbra", write_busbra), ("breast", write_breast)):
        writer(root / name if nested else root)
    return root
