"""A minimal program for one image, with the imports of ``edge-predict``: decode, resize, scale, invoke, print.

python benchmarks/minimal_script.py NETWORK MODEL.tflite IMAGE [X Y RADIUS]
"""

import sys
from typing import Any

import click  # noqa: F401  # every command-line program pays for its parser
import cv2

from benchmarks.peers.litert_model import open_model
from benchmarks.peers.steps import CROPS, LEVELS, cropped, prepared

if __name__ == "__main__":
    _, network, path, image, *region = sys.argv
    pixels: Any = cv2.imread(image)
    if region:
        pixels = cropped(pixels, [float(each) for each in region], *CROPS[network])
    print(open_model(path)(prepared(LEVELS[network](pixels))))
