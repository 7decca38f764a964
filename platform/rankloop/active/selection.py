"""Which items of the pool to ask about."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rankloop.randomness import rng

Strategy = Literal["certainty", "random", "diverse"]
# Of the least certain items, the diverse selection looks at so many times as it selects.
CANDIDATES = 4
# Candidates of the diverse selection that are compared with one another.
MOST = 4096


def random_items(names: Sequence[str], count: int, *, seed: int, cycle: int) -> list[str]:
    """Return items drawn at random; the draw depends on the set of names, not on their order."""
    ordered = sorted(names)
    drawn = rng(seed, "random selection", cycle).permutation(len(ordered))[:count]
    return [ordered[i] for i in drawn]


def least_certain(certainties: dict[str, float], count: int, *, seed: int, cycle: int) -> list[str]:
    """Return the items of least certainty, the least certain first (TPAMI paper, section 3.4).

    Among equals a draw decides, of (seed, cycle) and the set of names.
    """
    names = sorted(certainties)
    draw = rng(seed, "equal certainty", cycle).permutation(len(names))
    order = {name: (certainties[name], draw[i]) for i, name in enumerate(names)}
    return sorted(order, key=order.__getitem__)[:count]


def diverse_items(
    certainties: dict[str, float],
    features: dict[str, np.ndarray],
    asked: Sequence[np.ndarray],
    count: int,
    *,
    seed: int,
    cycle: int,
) -> list[str]:
    """Return uncertain items that differ: near-duplicates are not asked about twice.

    Of the 4 * count least certain ones again and again the one whose nearest item that was asked
    about before, or is chosen by now, is farthest (greedy k-centre: Sener and Savarese, ICLR 2018);
    where nothing was asked about, the least certain one first. More than MOST candidates are
    divided at random, each part with as many of what was asked about, and look at their own part
    only: the time grows with their number, not with its square.

    Args:
        certainties: by item.
        features: by item, float (f,) each; items without are left out.
        asked: features of items that were asked about before, float (f,) each.
        count: items to return.
        seed: the campaign's seed.
        cycle: number of the cycle.
    """
    ordered = least_certain(certainties, CANDIDATES * count, seed=seed, cycle=cycle)
    candidates = [name for name in ordered if name in features]
    parts = -(-len(candidates) // MOST)
    random = rng(seed, "parts of the candidates", cycle)
    members = np.array_split(random.permutation(len(candidates)), max(1, parts))
    chosen: list[int] = []
    for part, counted in zip(members, np.array_split(range(count), len(members)), strict=True):
        places = np.sort(part)
        if not len(places):
            continue
        near = random.permutation(len(asked))[:MOST]
        found = _far_apart(
            np.stack([features[candidates[i]] for i in places]).astype(np.float64),
            [np.asarray(asked[i], np.float64) for i in near],
            len(counted),
        )
        chosen += [int(places[i]) for i in found]
    return [candidates[i] for i in chosen]


def _far_apart(places: np.ndarray, near: Sequence[np.ndarray], count: int) -> list[int]:
    """Return row numbers by greedy k-centre, of places (n, f) with centres (f,) that are there."""
    nearest = np.full(len(places), np.inf)
    if near:
        centres = np.stack(near)
        squares = (places**2).sum(1)[:, np.newaxis] + (centres**2).sum(1) - 2 * places @ centres.T
        nearest = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
    chosen: list[int] = []
    while len(chosen) < min(count, len(places)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
        nearest[chosen] = -1.0
    return chosen
