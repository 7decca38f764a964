"""Palettes of minimum variance: #22 of TID2013."""

from collections.abc import Sequence

import numpy as np

# Colours of a cell, 4 x 4 x 4, are never parted, unless the image has few.
_CELLS = 64
_SHIFT = 2
_FEW_CELLS = 1024
_BAND = 2**20

# Rows of an array of cells.
_PLACES, _PIXELS, _SUMS, _SQUARES = slice(0, 3), 3, slice(4, 7), 7


def minimum_variance_palettes(image: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Return mean colours of boxes: the one of most variance is cut in two until there are enough.

    The cut is the plane across red, green or blue that leaves least variance on its two sides.
    Fewer colours come from the first of the same cuts. Source: X. Wu, "Efficient statistical
    computations for optimal color quantization", Graphics Gems II, 1991.

    Args:
        image: uint8 (h, w, 3).
        counts: numbers of colours, each >= 1.

    Returns:
        for each count c, uint8 (c, 3), or fewer rows where the image has fewer colours.
    """
    boxes = [_cells(image)]
    variances = [_variance(boxes[0])]
    palettes = {}
    for count in sorted(set(counts)):
        while len(boxes) < count and max(variances) > 0:
            widest = int(np.argmax(variances))
            del variances[widest]
            parts = _cut(boxes.pop(widest))
            boxes += parts
            variances += map(_variance, parts)
        means = [box[_SUMS].sum(axis=1) / box[_PIXELS].sum() for box in boxes]
        palettes[count] = np.rint(means).astype(np.uint8)
    return [palettes[count] for count in counts]


def _cells(image: np.ndarray) -> np.ndarray:
    """Return float64 (8, m): places, pixels, sums of red, green, blue, and of their squares."""
    pixels = image.reshape(-1, 3)
    sums = np.zeros((5, _CELLS**3))
    # In bands: wide integers of a whole photograph would take a gigabyte.
    for start in range(0, len(pixels), _BAND):
        values = np.ascontiguousarray(pixels[start : start + _BAND].T, np.intp)
        red, green, blue = values >> _SHIFT
        cell = (red * _CELLS + green) * _CELLS + blue
        for row, weights in zip(sums, (None, *values, (values**2).sum(axis=0)), strict=True):
            row += np.bincount(cell, weights, _CELLS**3)
    used = np.flatnonzero(sums[0])
    if len(used) <= _FEW_CELLS:
        return _colors(pixels)
    return np.concatenate([np.unravel_index(used, (_CELLS,) * 3), sums[:, used]])


def _colors(pixels: np.ndarray) -> np.ndarray:
    """Return the same with every colour a cell of its own, for dark and faint images."""
    packed = pixels.astype(np.int32) @ np.array([2**16, 2**8, 1], np.int32)
    found, counts = np.unique(packed, return_counts=True)
    colors = np.stack([found >> 16, found >> 8 & 255, found & 255]).astype(np.float64)
    return np.stack([*colors, counts, *counts * colors, counts * (colors**2).sum(axis=0)])


def _variance(box: np.ndarray) -> float:
    """Return the sum of squared distances to the mean colour; none for a single cell."""
    if box.shape[1] == 1:
        return 0.0
    total = box[_SUMS].sum(axis=1)
    return float(box[_SQUARES].sum() - total @ total / box[_PIXELS].sum())


def _cut(box: np.ndarray) -> list[np.ndarray]:
    """Return the cells of the two sides of the best plane through at least two cells."""
    best, sides = -np.inf, box[0] < 0
    for place in box[_PLACES].astype(np.intp):
        rows = (box[_PIXELS], *box[_SUMS])
        below = np.stack([np.bincount(place, row) for row in rows]).cumsum(axis=1)
        above = below[:, -1:] - below
        planes = np.arange(place.min(), place.max())
        # Most between the sides is least within them.
        between = np.zeros(planes.size)
        for side in (below[:, planes], above[:, planes]):
            between += (side[1:] ** 2).sum(axis=0) / side[0]
        if planes.size and between.max() > best:
            best, sides = between.max(), place <= planes[between.argmax()]
    return [box[:, sides], box[:, ~sides]]
