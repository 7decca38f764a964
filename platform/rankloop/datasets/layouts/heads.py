"""Head points and regions of interest as crowd data sets give them."""

import cv2
import numpy as np

from rankloop.errors import DataError
from rankloop.images import encode


def head_points(matlab: np.ndarray) -> list[tuple[float, float]]:
    """Return points counted from (0, 0), the middle of the first pixel.

    Args:
        matlab: (n, 2), x and y as marked in MATLAB, which counts from 1; anything empty is nobody.

    Raises:
        DataError: not such an array of finite numbers.
    """
    if not matlab.size:
        return []
    is_points = np.issubdtype(matlab.dtype, np.number) and matlab.ndim == 2 and matlab.shape[1] == 2
    if not is_points or not np.isfinite(matlab).all():
        raise DataError(
            f"points of shape {matlab.shape} and type {matlab.dtype} are not finite (x, y) pairs"
        )
    return [(float(x) - 1.0, float(y) - 1.0) for x, y in matlab]


def polygon_mask(vertices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return which pixels lie in a polygon, bool (height, width).

    Args:
        vertices: (n, 2), x and y as marked in MATLAB.
        height: of the mask in pixels.
        width: of the mask in pixels.
    """
    mask = np.zeros((height, width), np.uint8)
    corners = np.rint(np.reshape(vertices, (-1, 2)) - 1.0).astype(np.int32)
    return cv2.fillPoly(mask, [corners], 1).astype(bool)


def encode_region(mask: np.ndarray) -> bytes:
    """Return a mask as IMAGE_SCHEMA holds it, from bool (h, w)."""
    gray = mask.astype(np.uint8) * np.uint8(255)
    return encode(np.repeat(gray[:, :, np.newaxis], 3, axis=2))


def inside(points: list[tuple[float, float]], mask: np.ndarray) -> list[tuple[float, float]]:
    """Return the points whose nearest pixel is in the mask, bool (h, w)."""
    height, width = mask.shape
    kept = []
    for x, y in points:
        column, row = round(x), round(y)
        if 0 <= column < width and 0 <= row < height and mask[row, column]:
            kept.append((x, y))
    return kept
