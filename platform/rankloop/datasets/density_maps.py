"""From head points to density maps whose sum is the number of people."""

import math

import numpy as np
from scipy.special import ndtr

from rankloop.errors import ConfigError

# TPAMI paper, section 5.1.
SIGMA = 15.0


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
    points = np.asarray(points, np.float64).reshape(-1, 2)
    here = inside_image(points, height, width)
    box, cells = (0, 0, width, height), (height, width)
    density = cell_density(points[here], box, cells, height, width, sigma)
    return density, int(len(points) - here.sum())


def cell_density(
    points: np.ndarray,
    box: tuple[int, int, int, int],
    cells: tuple[int, int],
    height: int,
    width: int,
    sigma: float = SIGMA,
    region: np.ndarray | None = None,
) -> np.ndarray:
    """Return how many people there are in each cell of a box, by Gaussians as in `density_map`.

    Integrated exactly, so that cells may be of any size.
    Within a region of interest every head in it counts as one person, too: what would fall outside
    is spread over the part of its Gaussian that lies within. Heads outside it are left out.

    Args:
        points: heads in the image, float (n, 2): x and y; the centre of the first pixel is (0, 0).
        box: x, y, width and height in pixels; may reach beyond the right and the lower border, of
            which nothing is in any cell.
        cells: rows and columns that the box is divided into.
        height: of the image, in pixels.
        width: of the image, in pixels.
        sigma: standard deviation of the Gaussians in pixels, > 0.
        region: bool (height, width), where heads are counted; None for everywhere.

    Returns:
        float32, of the shape ``cells``, people per cell. Of the whole image its sum is the number
        of points, or of those in the region.

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
    if region is None:
        columns = _shares(near[:, 0], x, box_width, cells[1], width, sigma)
        rows = _shares(near[:, 1], y, box_height, cells[0], height, sigma)
        return (rows.T @ columns).astype(np.float32)
    place = np.rint(near).astype(np.int64)
    near = near[region[place[:, 1].clip(0, height - 1), place[:, 0].clip(0, width - 1)]]
    # Of pixels, since a region has any shape.
    columns = _shares(near[:, 0], 0, width, width, width, sigma)
    rows = _shares(near[:, 1], 0, height, height, height, sigma)
    within = ((rows @ region) * columns).sum(axis=1, keepdims=True)
    people = region * (rows.T @ (columns / within))
    down = _overlaps(y, box_height, cells[0], height)
    across = _overlaps(x, box_width, cells[1], width)
    return (down @ people @ across.T).astype(np.float32)


def region_shares(
    region: np.ndarray, box: tuple[int, int, int, int], cells: tuple[int, int]
) -> np.ndarray:
    """Return which share of each cell of a box lies in a region of interest.

    Args:
        region: bool (h, w).
        box: as `cell_density` takes it.
        cells: as `cell_density` takes them.

    Returns:
        float32, of the shape ``cells``, in [0, 1]. Of a cell that reaches beyond the image, of what
        is left of it.
    """
    x, y, box_width, box_height = box
    height, width = region.shape
    down = _overlaps(y, box_height, cells[0], height)
    across = _overlaps(x, box_width, cells[1], width)
    areas = np.outer(down.sum(axis=1), across.sum(axis=1))
    return (down @ region @ across.T / areas).astype(np.float32)


def _overlaps(start: int, length: int, cells: int, side: int) -> np.ndarray:
    """Pixels' lengths in each of the cells of one axis, float (cells, side)."""
    edges = start - 0.5 + length * np.arange(cells + 1) / cells
    pixels = np.arange(side)
    upper = np.minimum(edges[1:, None], pixels + 0.5)
    lower = np.maximum(edges[:-1, None], pixels - 0.5)
    found: np.ndarray = np.maximum(upper - lower, 0.0)
    return found


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
