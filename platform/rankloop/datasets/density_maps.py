"""From head points to density maps whose sum is the number of people."""

import math

import cv2
import numpy as np

from rankloop.errors import ConfigError

# TPAMI paper, section 5.1.
SIGMA = 15.0
_SIGMAS = 4.0


def inside_image(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return which points have their nearest pixel in an image, bool (n,), of float (n, 2)."""
    nearest = np.rint(points)
    # Comparisons with NaN are false: such points are outside.
    here: np.ndarray = (
        (nearest >= 0).all(axis=1) & (nearest[:, 0] < width) & (nearest[:, 1] < height)
    )
    return here


def density_map(
    points: np.ndarray, height: int, width: int, sigma: float = SIGMA
) -> tuple[np.ndarray, int]:
    """Return a Gaussian around each point, summed (TPAMI paper, section 5.1).

    What would fall beyond a border is mirrored back, so that every person counts as one.

    Args:
        points: float (n, 2): x and y in pixels; the centre of the first pixel is (0, 0).
        height: of the image, in pixels.
        width: of the image, in pixels.
        sigma: standard deviation of the Gaussians in pixels, > 0.

    Returns:
        density: float32 (height, width), people per pixel; its sum is the number of points inside.
        outside: number of points that are not in the image, which are left out.

    Raises:
        ConfigError: sigma is not a finite number above 0.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise ConfigError(f"sigma {sigma} must be a finite number of pixels above 0")
    points = np.asarray(points, np.float64).reshape(-1, 2)
    here = inside_image(points, height, width)
    columns, rows = np.rint(points[here]).astype(np.int64).T
    density = np.zeros((height, width), np.float32)
    np.add.at(density, (rows, columns), 1.0)
    profile = cv2.getGaussianKernel(2 * math.ceil(_SIGMAS * sigma) + 1, sigma, cv2.CV_32F)
    # This border repeats the last pixel: the only one that keeps the sum.
    smooth = cv2.sepFilter2D(density, -1, profile, profile, borderType=cv2.BORDER_REFLECT)
    return smooth, int(len(points) - here.sum())
