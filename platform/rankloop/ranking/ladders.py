"""Ranked sets by one distortion at several levels, and by two after one another."""

from collections.abc import Sequence

import numpy as np

from rankloop.distortions.distortion import Distortion
from rankloop.randomness import rng
from rankloop.ranking.ranked_set import RankedSet, distinct
from rankloop.ranking.sub_images import SubImage, sub_image


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
        ImageError: the image is smaller than the sub-image, or does not change from one level to
            another.
    """
    wanted = distortion.checked_levels(levels)
    sub = sub_image(image, generator, size)
    made = _versions(sub, generator, distortion, wanted)
    return distinct(RankedSet(made, np.array(wanted)[:, np.newaxis]))


def _versions(
    sub: SubImage, generator: np.random.Generator, distortion: Distortion, levels: Sequence[int]
) -> np.ndarray:
    """Make each level with the surroundings that it needs, whichever others are made."""
    seed = int(generator.integers(2**63))
    made = np.empty((len(levels), sub.size, sub.size, 3), np.uint8)
    halos = [distortion.halo([level]) for level in levels]
    for halo in set(halos):
        places = [i for i, each in enumerate(halos) if each == halo]
        region = sub.with_halo(halo)
        chosen = [levels[i] for i in places]
        made[places] = region.cut(distortion.ladder(region.image, rng(seed, "ladder"), chosen))
    return made


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
        ImageError: the image is smaller than the sub-image, or does not change from one level to
            another.
    """
    rows, columns = first.checked_levels(levels), second.checked_levels(levels)
    sub = sub_image(image, generator, size)
    # What the second distortion may look at, whichever of its levels are made.
    around = sub.with_halo(second.halo())
    seed = int(generator.integers(2**63))
    versions = []
    for row in rows:
        wide = sub.with_halo(second.halo() + first.halo([row]))
        (version,) = first.ladder(wide.image, rng(seed, "first"), [row])
        top, left = wide.top - around.top, wide.left - around.left
        height, width, _ = around.image.shape
        seen = np.ascontiguousarray(version[top : top + height, left : left + width])
        versions.append(around.cut(second.ladder(seen, rng(seed, "second"), columns)))
    crossed = [[row, column] for row in rows for column in columns]
    return distinct(RankedSet(np.concatenate(versions), np.array(crossed)))
