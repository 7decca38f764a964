"""Squares cut out of an image at its own scale, with what surrounds them."""

import math
from dataclasses import dataclass

import numpy as np

from rankloop.errors import ImageError
from rankloop.images import check_image, shrink

# TPAMI paper, section 4: smaller sub-images no longer capture the context.
LEAST_SHARE = 1 / 3


@dataclass(frozen=True)
class SubImage:
    """A square of an image.

    Attributes:
        image: uint8 (h, w, 3).
        top: first row of the square.
        left: first column of the square.
        size: side in pixels of the square.
    """

    image: np.ndarray
    top: int
    left: int
    size: int

    def with_halo(self, halo: int) -> "SubImage":
        """Return the square in as much of the image as lies within ``halo`` pixels of it."""
        top, left = max(0, self.top - halo), max(0, self.left - halo)
        rows = slice(top, self.top + self.size + halo)
        columns = slice(left, self.left + self.size + halo)
        region = np.ascontiguousarray(self.image[rows, columns])
        return SubImage(region, self.top - top, self.left - left, self.size)

    def cut(self, versions: np.ndarray) -> np.ndarray:
        """Return the square of versions of the image: (n, h, w, 3) to (n, size, size, 3)."""
        rows = slice(self.top, self.top + self.size)
        columns = slice(self.left, self.left + self.size)
        return np.ascontiguousarray(versions[:, rows, columns])


def sub_image(image: np.ndarray, generator: np.random.Generator, size: int) -> SubImage:
    """Draw a square of an image, uniformly (TPAMI paper, section 4).

    The image keeps its scale, since interpolation would be a distortion of its own, unless the
    square's side would be less than a third of the image's longer one: then it is shrunk until it
    is a third, or its shorter side is the square's.

    Args:
        image: uint8 (h, w, 3).
        generator: two numbers are drawn from it.
        size: side in pixels of the square, >= 1.

    Raises:
        ImageError: the image is smaller than the square.
    """
    check_image(image)
    height, width, _ = image.shape
    if min(height, width) < size:
        raise ImageError(
            f"an image of {width} x {height} pixels holds no square of {size}: use larger images "
            "or a smaller size"
        )
    shortest = math.ceil(size * max(height, width) / min(height, width))
    image = shrink(image, max(math.floor(size / LEAST_SHARE), shortest))
    height, width, _ = image.shape
    top = int(generator.integers(height - size + 1))
    left = int(generator.integers(width - size + 1))
    return SubImage(image, top, left, size)
