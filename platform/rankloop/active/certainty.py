"""Ranking certainty: how many pairs of known order a scorer orders rightly.

TPAMI paper, section 3.4, eq. 15: C(z) is the share of K sampled pairs of versions of z whose scores
are in the order that is known. All pairs of whole ranked sets count, so that K = 100 pairs take 50
images through the network, ten ladders of five levels, where 100 pairs one by one take 200.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rankloop.active.items import Item
from rankloop.errors import ImageError
from rankloop.methods.method import Method
from rankloop.randomness import rng
from rankloop.ranking.draws import MAX_ATTEMPTS
from rankloop.ranking.ranked_set import RankedSet, ranks_above
from rankloop.ranking.sub_images import aligned_sub_images

PAIRS = 100


def certainty_sets(
    item: Item,
    load: Callable[[int], np.ndarray],
    method: Method,
    config: Any,
    *,
    seed: int,
    pairs: int = PAIRS,
) -> list[RankedSet]:
    """Return ranked sets of an item that hold at least so many pairs of known order.

    Of an item with levels of its own, sub-images at one place of all its images; of any other,
    ranked sets that the method makes of its image. A function of (item's name, seed): the same sets
    whatever else is scored, in every cycle.

    Args:
        item: what is asked about.
        load: row number to its image.
        method: whose ranked sets they are.
        config: its configuration.
        seed: the campaign's seed.
        pairs: K of eq. 15.

    Raises:
        ImageError: an image cannot be read, or 20 draws in a row made no ranked set.
    """
    images = [load(row) for row in item.rows]
    sets: list[RankedSet] = []
    found = number = failures = 0
    # Each of an item's images is looked at, in turns.
    while found < pairs or number < len(images):
        place = number % len(images)
        generator = rng(seed, "certainty", item.name, number)
        number += 1
        try:
            made = _ranked_set(item, images, place, generator, method, config)
        except ImageError:
            failures += 1
            if failures == MAX_ATTEMPTS:
                raise
            continue
        failures = 0
        comparable = int(ranks_above(made.levels).sum())
        if not comparable:
            raise ImageError("its ranked sets hold no pair of known order: give other levels")
        sets.append(made)
        found += comparable
    return sets


def _ranked_set(
    item: Item,
    images: Sequence[np.ndarray],
    place: int,
    generator: np.random.Generator,
    method: Method,
    config: Any,
) -> RankedSet:
    if item.levels and method.image_size(config) is None:
        squares = aligned_sub_images(images, generator, config.input_size)
        return RankedSet(squares, np.array(item.levels)[:, np.newaxis])
    return method.ranked_set(images[place], generator, config)


def certainty(
    scores: np.ndarray,
    sets: Sequence[np.ndarray],
    *,
    name: str,
    seed: int,
    higher_is_better: bool,
    pairs: int = PAIRS,
) -> float:
    """Return C(z) of eq. 15 in [0, 1] over K pairs, drawn from all that the sets hold.

    Equal scores are no order: such a pair counts as wrong.

    Args:
        scores: of the images of all sets, float (n,).
        sets: levels of each set, int (m, d) each, n images together.
        name: the item's.
        seed: the campaign's.
        higher_is_better: whether an image that ranks above another is to have the higher score.
        pairs: K.

    Raises:
        ValueError: fewer than K pairs of known order, or another number of scores than of images.
    """
    if len(scores) != sum(map(len, sets)):
        raise ValueError(f"{len(scores)} scores of {sum(map(len, sets))} images: give one each")
    right: list[np.ndarray] = []
    start = 0
    for levels in sets:
        own = scores[start : start + len(levels)] * (1.0 if higher_is_better else -1.0)
        start += len(levels)
        above = ranks_above(levels)
        right.append((own[:, np.newaxis] > own[np.newaxis, :])[above])
    every = np.concatenate(right) if right else np.empty(0, bool)
    if len(every) < pairs:
        raise ValueError(f"{len(every)} pairs of known order are fewer than {pairs}: give more")
    drawn = rng(seed, "pairs of certainty", name).choice(len(every), pairs, replace=False)
    return float(every[drawn].mean())
