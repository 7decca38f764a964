"""The scores of pivots: quantisation of the training scores (QCN, section 4.1)."""

import itertools

import numpy as np

from rankloop.errors import DataError


def uniform_pivot_scores(scores: np.ndarray, count: int) -> np.ndarray:
    """Return evenly spaced pivot scores from the lowest to the highest score, float64 (count,).

    Args:
        scores: training scores, float (n,).
        count: number M of pivots, >= 2.

    Raises:
        DataError: fewer than two different scores.
    """
    values = _checked(scores, 2)
    return np.linspace(values[0], values[-1], count)


def lloyd_max_pivot_scores(
    scores: np.ndarray, count: int, *, pinned_ends: bool = False
) -> np.ndarray:
    """Return pivot scores by the Lloyd-Max algorithm, float64 (count,), strictly ascending.

    From evenly spaced levels on, every level becomes the mean of the scores that are nearest to it,
    until nothing changes. A level to which no score is nearest becomes evenly spaced between its
    neighbours, as in the authors' code.

    Args:
        scores: training scores, float (n,), of any range.
        count: number M of pivots, >= 2.
        pinned_ends: keep the first and the last level at the lowest and the highest score, as the
            authors' code does, where these are 0 and 100.

    Raises:
        DataError: fewer different scores than pivots.
    """
    values = _checked(scores, count)
    levels = np.linspace(values[0], values[-1], count)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    best = np.inf
    while True:
        bounds = _bounds(values, levels)
        sizes = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(sizes, 1)
        fixed = sizes > 0
        if pinned_ends:
            means[[0, -1]], fixed[[0, -1]] = values[[0, -1]], True
        places = np.arange(count)
        moved = np.interp(places, places[fixed], means[fixed])
        error = _squared_error(values, moved)
        # Ties between levels could make it go round for ever.
        if not error < best:
            return levels
        levels, best = moved, error


def _checked(scores: np.ndarray, count: int) -> np.ndarray:
    values = np.sort(np.asarray(scores, np.float64))
    different = len(np.unique(values))
    if different < count:
        raise DataError(
            f"{count} pivots are more than the {different} different training scores: give at most "
            f"{different} (--pivots), or more labels"
        )
    return values


def _bounds(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Where the scores of each level begin and end in the sorted scores, int (count + 1,)."""
    middles = np.array([(low + high) / 2 for low, high in itertools.pairwise(levels)])
    inner = np.searchsorted(values, middles)
    return np.concatenate([[0], inner, [len(values)]])


def _squared_error(values: np.ndarray, levels: np.ndarray) -> float:
    nearest = np.repeat(levels, np.diff(_bounds(values, levels)))
    return float(((values - nearest) ** 2).sum())
