"""Squares cut out of an image at its own scale, with what surrounds them."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from rankloop.errors import ImageError
from rankloop.images import check_image

# TPAMI paper, section 4: smaller sub-images no longer capture the context.
LEAST_SHARE = 1 / 3


@dataclass(frozen=True)
class SubImage:
    """A square of an image and its surroundings.

    Attributes:
        region: uint8 (h, w, 3): the square and up to a halo of pixels around it, less where the
            image ends.
        top: first row of the square in the region.
        left: first column of the square in the region.
        size: side in pixels of the square.
    """

    region: np.ndarray
    top: int
    left: int
    size: int

    def cut(self, images: np.ndarray) -> np.ndarray:
        """Return the square of versions of the region: (n, h, w, 3) to (n, size, size, 3)."""
        rows = slice(self.top, self.top + self.size)
        columns = slice(self.left, self.left + self.size)
        return np.ascontiguousarray(images[:, rows, columns])


def sub_image(
    image: np.ndarray, generator: np.random.Generator, size: int, halo: int = 0
) -> SubImage:
    """Draw a square of an image, uniformly (TPAMI paper, section 4).

    The image keeps its scale, since interpolation would be a distortion of its own, unless the
    square's side would be less than a third of the image's longer one: then it is shrunk until it
    is a third.

    Args:
        image: uint8 (h, w, 3).
        generator: two numbers are drawn from it.
        size: side in pixels of the square, >= 1.
        halo: pixels around the square that the region holds as well, where there are any.

    Raises:
        ImageError: the image is smaller than the square.
    """
    check_image(image)
    image = _shrunk(image, size)
    height, width, _ = image.shape
    if min(height, width) < size:
        raise ImageError(
            f"an image of {width} x {height} pixels holds no square of {size}: use larger images "
            "or a smaller size"
        )
    row = int(generator.integers(height - size + 1))
    column = int(generator.integers(width - size + 1))
    top, left = max(0, row - halo), max(0, column - halo)
    region = image[top : row + size + halo, left : column + size + halo]
    return SubImage(np.ascontiguousarray(region), row - top, column - left, size)


def _shrunk(image: np.ndarray, size: int) -> np.ndarray:
    height, width, _ = image.shape
    longest = math.floor(size / LEAST_SHARE)
    if max(height, width) <= longest:
        return image
    scale = longest / max(height, width)
    # A panorama's shorter side may fall below the square's: it stays as long as that.
    scale = max(scale, min(1.0, size / min(height, width)))
    target = (max(size, round(width * scale)), max(size, round(height * scale)))
    if min(height, width) < size:
        return image
    shrunk: np.ndarray = cv2.resize(image, target, interpolation=cv2.INTER_AREA)
    return shrunk
