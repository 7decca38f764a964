"""Ranked sets by one distortion at several levels, and by two after one another."""

from collections.abc import Sequence

import numpy as np

from rankloop.distortions.distortion import Distortion
from rankloop.randomness import rng
from rankloop.ranking.ranked_set import RankedSet
from rankloop.ranking.sub_images import sub_image


def ladder(
    image: np.ndarray,
    generator: np.random.Generator,
    size: int,
    distortion: Distortion,
    levels: Sequence[int] | None = None,
) -> RankedSet:
    """Return a sub-image at several levels of a distortion (TPAMI paper, section 4).

    What the distortion reads around the sub-image is the image where there is more of it, so that a
    large blur mirrors no border that a photograph does not have.

    Args:
        image: uint8 (h, w, 3).
        generator: of this set.
        size: side in pixels of the sub-image.
        distortion: what worsens it.
        levels: as in `Distortion.ladder`; None for all.

    Raises:
        ConfigError: a level is unknown.
        ImageError: the image is smaller than the sub-image.
    """
    wanted = distortion.checked_levels(levels)
    sub = sub_image(image, generator, size, distortion.halo(wanted))
    versions = distortion.ladder(sub.region, generator, wanted)
    return RankedSet(sub.cut(versions), np.array(wanted)[:, np.newaxis])


def crossed_ladder(
    image: np.ndarray,
    generator: np.random.Generator,
    size: int,
    first: Distortion,
    second: Distortion,
    levels: Sequence[int] = (1, 2, 3),
) -> RankedSet:
    """Return a sub-image at all combinations of levels of two distortions: a partial order.

    The second distortion follows the first and draws the same randomness after each of its levels,
    so that versions differ by their levels only. By default the nine versions of MLIVE (RankIQA
    supplement, section 3).

    Args:
        image: uint8 (h, w, 3).
        generator: of this set.
        size: side in pixels of the sub-image.
        first: the distortion that comes first.
        second: the distortion that comes second.
        levels: of each; version i has levels ``[levels[i // n], levels[i % n]]``, n of them.

    Raises:
        ConfigError: a level is unknown.
        ImageError: the image is smaller than the sub-image.
    """
    rows, columns = first.checked_levels(levels), second.checked_levels(levels)
    sub = sub_image(image, generator, size, first.halo(rows) + second.halo(columns))
    seed = int(generator.integers(2**63))
    versions = [
        sub.cut(second.ladder(version, rng(seed, "second distortion"), columns))
        for version in first.ladder(sub.region, generator, rows)
    ]
    crossed = [[row, column] for row in rows for column in columns]
    return RankedSet(np.concatenate(versions), np.array(crossed))
