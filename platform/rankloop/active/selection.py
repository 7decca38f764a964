"""Which items of the pool to ask about."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rankloop.randomness import rng

Strategy = Literal["certainty", "random", "diverse"]
# Of the least certain items, the diverse selection looks at so many times as it selects.
CANDIDATES = 4


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
    count: int,
    *,
    seed: int,
    cycle: int,
) -> list[str]:
    """Return uncertain items that differ: near-duplicates are not asked about twice.

    Of the 4 * count least certain ones the least certain, then again and again the one whose
    nearest chosen one is farthest (greedy k-centre: Sener and Savarese, ICLR 2018).

    Args:
        certainties: by item.
        features: by item, float (f,) each.
        count: items to return.
        seed: the campaign's seed.
        cycle: number of the cycle.
    """
    candidates = least_certain(certainties, CANDIDATES * count, seed=seed, cycle=cycle)
    if not candidates:
        return []
    places = np.stack([features[name] for name in candidates]).astype(np.float64)
    chosen = [0]
    nearest = np.linalg.norm(places - places[0], axis=1)
    while len(chosen) < min(count, len(candidates)):
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return [candidates[i] for i in chosen]
