"""From head points to density maps whose sum is the number of people."""

import math

import cv2
import numpy as np
from scipy.special import ndtr

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


def cell_density(
    points: np.ndarray,
    box: tuple[int, int, int, int],
    cells: tuple[int, int],
    height: int,
    width: int,
    sigma: float = SIGMA,
) -> np.ndarray:
    """Return how many people there are in each cell of a box, by Gaussians as in `density_map`.

    Integrated exactly, so that cells may be of any size, and without the map of the whole image.

    Args:
        points: heads in the image, float (n, 2): x and y; the centre of the first pixel is (0, 0).
        box: x, y, width and height in pixels; may reach beyond the right and the lower border, of
            which nothing is in any cell.
        cells: rows and columns that the box is divided into.
        height: of the image, in pixels.
        width: of the image, in pixels.
        sigma: standard deviation of the Gaussians in pixels, > 0.

    Returns:
        float32, of the shape ``cells``, people per cell. Of the whole image its sum is the number
        of points.

    Raises:
        ConfigError: sigma is not a finite number above 0.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise ConfigError(f"sigma {sigma} must be a finite number of pixels above 0")
    x, y, box_width, box_height = box
    points = np.asarray(points, np.float64).reshape(-1, 2)
    reach = 6.0 * sigma
    low, high = np.array([x, y]) - reach, np.array([x + box_width, y + box_height]) + reach
    near = points[((points >= low) & (points <= high)).all(axis=1)]
    columns = _shares(near[:, 0], x, box_width, cells[1], width, sigma)
    rows = _shares(near[:, 1], y, box_height, cells[0], height, sigma)
    return (rows.T @ columns).astype(np.float32)


def _shares(
    centers: np.ndarray, start: int, length: int, cells: int, side: int, sigma: float
) -> np.ndarray:
    """Shares of Gaussians that fall into each of the cells of one axis, float (n, cells)."""
    edges = np.minimum(start - 0.5 + length * np.arange(cells + 1) / cells, side - 0.5)
    borders = np.array([-0.5, side - 0.5])
    found = np.zeros((len(centers), cells))
    total = np.zeros((len(centers), 1))
    # What would fall beyond a border is mirrored back.
    for mirrored in (centers, 2 * borders[0] - centers, 2 * borders[1] - centers):
        found = found + np.diff(ndtr((edges - mirrored[:, None]) / sigma), axis=1)
        total = total + np.diff(ndtr((borders - mirrored[:, None]) / sigma), axis=1)
    shares: np.ndarray = found / total
    return shares
