"""Squares cut out of an image at its own scale, with what surrounds them."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankloop.errors import ConfigError, ImageError
from rankloop.images import check_image, shrink
from rankloop.randomness import rng

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
    return _drawn(_at_scale(image, size), generator, size)


def sub_images(image: np.ndarray, count: int, size: int) -> np.ndarray:
    """Return squares of an image drawn as `sub_image` does, the same for the same pixels.

    Those that a test averages over (TPAMI paper, section 6.1): an image has one score, whatever it
    is called and whatever is scored with it.

    Args:
        image: uint8 (h, w, 3).
        count: number of squares, >= 1.
        size: side in pixels of the squares, >= 1.

    Returns:
        uint8 (count, size, size, 3).

    Raises:
        ImageError: the image is smaller than a square.
    """
    image = _at_scale(image, size)
    content = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).hexdigest()
    generator = rng(0, "sub-images at test", *image.shape, content)
    squares = [_drawn(image, generator, size) for _ in range(count)]
    return np.concatenate([square.cut(image[np.newaxis]) for square in squares])


def aligned_sub_images(
    images: Sequence[np.ndarray], generator: np.random.Generator, size: int
) -> np.ndarray:
    """Return the square at one place, drawn as `sub_image` does, of versions of one image.

    Args:
        images: uint8 (h, w, 3) each, of one size.
        generator: two numbers are drawn from it.
        size: side in pixels of the square, >= 1.

    Returns:
        uint8 (n, size, size, 3).

    Raises:
        ImageError: their sizes differ, or they are smaller than the square.
    """
    if len({image.shape for image in images}) != 1:
        sizes = sorted({f"{image.shape[1]} x {image.shape[0]}" for image in images})
        raise ImageError(f"versions of one image have {' and '.join(sizes)} pixels: give one size")
    scaled = np.stack([_at_scale(image, size) for image in images])
    return _drawn(scaled[0], generator, size).cut(scaled)


def _at_scale(image: np.ndarray, size: int) -> np.ndarray:
    check_image(image)
    if size < 1:
        raise ConfigError(f"sub-images of {size} pixels a side: give at least 1")
    height, width, _ = image.shape
    if min(height, width) < size:
        raise ImageError(
            f"an image of {width} x {height} pixels holds no square of {size}: use larger images "
            "or a smaller size"
        )
    shortest = math.ceil(size * max(height, width) / min(height, width))
    return shrink(image, max(math.floor(size / LEAST_SHARE), shortest))


def _drawn(image: np.ndarray, generator: np.random.Generator, size: int) -> SubImage:
    height, width, _ = image.shape
    top = int(generator.integers(height - size + 1))
    left = int(generator.integers(width - size + 1))
    return SubImage(image, top, left, size)
