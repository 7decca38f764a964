"""Images made from one source whose order is known without a label."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rankloop.errors import DataError, ImageError
from rankloop.images import check_image
from rankloop.randomness import rng
from rankloop.ranking.draws import MAX_ATTEMPTS, Load, OnSkip, first_readable, reporting


@dataclass(frozen=True)
class RankedSet:
    """Versions of one image.

    Attributes:
        images: uint8 (n, h, w, 3).
        levels: int64 (n, d); image i ranks at or above j when every level of i is <= that of j.
            One column for one distortion or for nested crops, two for crossed distortions.
        source: number of the image that all were made from, as its maker counts; -1 if it does not.

    Raises:
        ValueError: shapes or types differ from these.
    """

    images: np.ndarray
    levels: np.ndarray
    source: int = -1

    def __post_init__(self) -> None:
        for image in self.images[:1]:
            check_image(image)
        fits = (
            self.images.ndim == 4
            and self.levels.ndim == 2
            and len(self.levels) == len(self.images) > 0
            and np.issubdtype(self.levels.dtype, np.integer)
        )
        if not fits:
            raise ValueError(
                f"{self.images.dtype} {self.images.shape} images and {self.levels.dtype} "
                f"{self.levels.shape} levels: give (n, h, w, 3) and integer (n, d), n >= 1"
            )


def ranks_above(levels: np.ndarray) -> np.ndarray:
    """Return which images rank above which others: the strict partial order of the levels.

    Args:
        levels: int (n, d).

    Returns:
        bool (n, n): [i, j] when each level of i is <= that of j, and one is lower.
    """
    first, second = levels[:, np.newaxis, :], levels[np.newaxis, :, :]
    at_or_above = np.asarray((first <= second).all(axis=2))
    return at_or_above & np.asarray((first < second).any(axis=2))


def distinct(made: RankedSet) -> RankedSet:
    """Return the set, unless images of different levels are the same: neither is worse.

    Grey photographs have no saturation to lose, small ones hold too few bits to be hit, and crops
    of one pixel no smaller crops.

    Raises:
        ImageError: two are.
    """
    seen: dict[bytes, list[int]] = {}
    for image, level in zip(made.images, made.levels.tolist(), strict=True):
        same = seen.setdefault(image.tobytes(), level)
        if same != level:
            raise ImageError(
                f"its levels {same} and {level} are the same image, so that neither is worse: use "
                "larger or less uniform images, or fewer levels"
            )
    return made


# (image of any size, generator, side in pixels) to a ranked set of images of that side.
Recipe = Callable[[np.ndarray, np.random.Generator, int], RankedSet]


def ranked_set_row(
    load: Load,
    n_images: int,
    recipe: Recipe,
    size: int,
    *,
    seed: int,
    step: int,
    item: int,
    on_skip: OnSkip | None = None,
) -> RankedSet:
    """Return the ranked set of one row of a stream: a function of (seed, step, item).

    Its ``source`` is the image that was drawn.

    Args:
        load: image i of n_images, uint8 (h, w, 3) of any size; one for which it or the recipe
            raises ImageError is reported to ``on_skip(i, reason)`` and replaced by another draw.
        n_images: images to draw from, >= 1.
        recipe: what to make of the image.
        size: side in pixels of the set's images.
        seed: the run's seed.
        step: number of the step.
        item: number of the row within the step.
        on_skip: see above.

    Raises:
        DataError: n_images < 1, or 20 draws in a row gave an image that cannot be used.
    """
    if n_images < 1:
        raise DataError("a ranked set needs an image and there is none: give at least one")

    def draw(attempt: int) -> RankedSet:
        generator = rng(seed, "ranked set", step, item, attempt)
        index = int(generator.integers(n_images))
        with reporting(index, on_skip):
            return replace(recipe(load(index), generator, size), source=index)

    return first_readable(draw, MAX_ATTEMPTS, f"ranked set of step {step}, item {item}")
