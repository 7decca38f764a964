"""Labelled pairs drawn from images whose order is known."""

from collections.abc import Sequence

import numpy as np


def draw_pairs(
    images: Sequence[str],
    scores: Sequence[float],
    number: int,
    *,
    higher_is_better: bool,
    random: np.random.Generator,
) -> list[tuple[str, str]]:
    """Draw different pairs with unequal scores, every such pair being equally likely.

    Args:
        images: names.
        scores: their scores, finite; equal scores are never paired.
        number: how many pairs; fewer come back when there are fewer.
        higher_is_better: direction of the scores.
        random: generator of the draw.

    Returns:
        (better, worse) pairs in random order.
    """
    goodness = np.asarray(scores, np.float64) * (1.0 if higher_is_better else -1.0)
    order = np.argsort(goodness, kind="stable")
    # Image i of the sorted list is better than exactly the first `below[i]` of it, so the pairs
    # can be numbered 0 .. sum(below) - 1 without writing them down.
    below = np.searchsorted(goodness[order], goodness[order], side="left")
    ends = np.cumsum(below)
    total = int(below.sum())
    if not total:
        return []
    pairs = []
    for pair in random.choice(total, size=min(number, total), replace=False):
        i = int(np.searchsorted(ends, pair, side="right"))
        j = int(pair - (ends[i] - below[i]))
        pairs.append((images[order[i]], images[order[j]]))
    return pairs
