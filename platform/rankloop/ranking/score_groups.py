"""Images grouped by score, so that a training batch holds scores of the whole range."""

import numpy as np

from rankloop.errors import DataError


def score_intervals(scores: np.ndarray, count: int) -> list[np.ndarray]:
    """Divide the range of the scores evenly and return the positions in each interval.

    QCN, section 3.5. An interval without a score has those of the nearest one that has some, of two
    the lower.

    Args:
        scores: float (n,).
        count: number of intervals, >= 1.

    Returns:
        Positions, int (k,) with k >= 1, of each interval from the lowest to the highest.

    Raises:
        DataError: there are no scores.
    """
    if not len(scores):
        raise DataError("there are no labelled images: label some")
    low, high = float(scores.min()), float(scores.max())
    share = (scores - low) / (high - low) if high > low else np.zeros(len(scores))
    interval = np.minimum((share * count).astype(np.int64), count - 1)
    filled = np.unique(interval)
    nearest = [filled[np.abs(filled - number).argmin()] for number in range(count)]
    return [np.flatnonzero(interval == number) for number in nearest]


def equal_score_groups(scores: np.ndarray, count: int) -> list[list[np.ndarray]]:
    """Divide the different scores into groups of as many, and return the positions of each score.

    As the authors' code of QCN does: what counts as a score is one of a hundred steps of the range,
    so that rare scores are drawn as often as frequent ones.

    Args:
        scores: float (n,).
        count: number of groups, >= 1.

    Returns:
        Of each group from the lowest to the highest, of each of its scores, positions int (k,).

    Raises:
        DataError: fewer different scores than groups.
    """
    low, high = float(scores.min()), float(scores.max())
    rounded = np.rint((scores - low) / max(high - low, 1e-12) * 100)
    different = np.unique(rounded)
    if len(different) < count:
        raise DataError(
            f"{count} groups of scores are more than the {len(different)} different training "
            "scores: give fewer --images, --batches and --auxiliary intervals, or more labels"
        )
    return [
        [np.flatnonzero(rounded == score) for score in group]
        for group in np.array_split(different, count)
    ]
