"""What a row of a training stream holds: a pure function of the seed and the row's place.

Quadruplets (SSRanking paper, section 3.2), blurred pairs (its Table 2, after RankIQA and LSEP) and
labelled pairs (its section 3.1, eq. 1).

In all of them ``load(i)`` gives image i of n_images, uint8 (h, w, 3), one shape for all; an image
for which it raises ImageError is reported to ``on_skip(i, reason)`` and replaced by another draw,
which depends on nothing but the row, too.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from rankloop.distortions.blur import BLUR_KINDS, BlurKind, blur
from rankloop.errors import ConfigError, DataError
from rankloop.randomness import rng
from rankloop.ranking.draws import MAX_ATTEMPTS, Load, OnSkip, first_readable, reporting

# What the images of a row are.
QUADRUPLET = ("x₁", "x₂", "x₁ blurred", "x₂ blurred")
BLURRED_PAIR = ("x", "x blurred")


@dataclass(frozen=True)
class BlurRange:
    """The blurs that a stream draws from, uniformly.

    Attributes:
        kinds: at least one of BLUR_KINDS.
        low: weakest strength in pixels of the loaded image, > 0.
        high: strongest, >= low.

    Raises:
        ConfigError: a value is out of range.
    """

    kinds: tuple[BlurKind, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(BLUR_KINDS):
            raise ConfigError(f"blur kinds {self.kinds}: give at least one of {BLUR_KINDS}")
        if not 0 < self.low <= self.high < math.inf:
            raise ConfigError(f"blur strengths {self.low} to {self.high}: give 0 < low <= high")


def draw_blur(
    generator: np.random.Generator, blur_range: BlurRange
) -> tuple[BlurKind, float, float]:
    """Draw a kind, a strength in [low, high] pixels and an angle in [0, pi), all uniform."""
    kind = blur_range.kinds[int(generator.integers(len(blur_range.kinds)))]
    # The angle is drawn for every kind, so that no draw depends on another's outcome.
    strength = float(generator.uniform(blur_range.low, blur_range.high))
    return kind, strength, float(generator.uniform(0.0, math.pi))


def quadruplet(
    load: Load,
    n_images: int,
    blur_range: BlurRange,
    *,
    seed: int,
    step: int,
    item: int,
    on_skip: OnSkip | None = None,
) -> np.ndarray:
    """Return two different images and both after the same blur (section 3.2).

    Returns:
        uint8 (4, h, w, 3): x1, x2, x1 blurred, x2 blurred.

    Raises:
        DataError: n_images < 2, or 20 draws in a row held an image that cannot be read.
    """
    return _blurred_set("quadruplet", 2, load, n_images, blur_range, seed, step, item, on_skip)


def blurred_pair(
    load: Load,
    n_images: int,
    blur_range: BlurRange,
    *,
    seed: int,
    step: int,
    item: int,
    on_skip: OnSkip | None = None,
) -> np.ndarray:
    """Return an image and the same after a blur (the pairs of RankIQA and LSEP in Table 2).

    Returns:
        uint8 (2, h, w, 3): x, x blurred.

    Raises:
        DataError: n_images < 1, or 20 draws in a row gave an image that cannot be read.
    """
    return _blurred_set("blurred pair", 1, load, n_images, blur_range, seed, step, item, on_skip)


def _blurred_set(
    name: str,
    wanted: int,
    load: Load,
    n_images: int,
    blur_range: BlurRange,
    seed: int,
    step: int,
    item: int,
    on_skip: OnSkip | None,
) -> np.ndarray:
    if n_images < wanted:
        raise DataError(
            f"a {name} needs {wanted} different images and there are {n_images}: give more images"
        )

    def read(i: int) -> np.ndarray:
        with reporting(i, on_skip):
            return load(i)

    def draw(attempt: int) -> np.ndarray:
        # Plain integers, since numpy's have another type and so name another generator.
        generator = rng(int(seed), name, int(step), int(item), attempt)
        chosen = _different(generator, n_images, wanted)
        kind, strength, angle = draw_blur(generator, blur_range)
        images = [read(i) for i in chosen]
        return np.stack(images + [blur(image, kind, strength, angle) for image in images])

    return first_readable(draw, MAX_ATTEMPTS, f"{name} of step {step}, item {item}")


def _different(generator: np.random.Generator, n_images: int, wanted: int) -> list[int]:
    first = int(generator.integers(n_images))
    if wanted == 1:
        return [first]
    # Of the n - 1 others, those from `first` on move up by one: uniform, without drawing again.
    second = int(generator.integers(n_images - 1))
    return [first, second + (second >= first)]


def labelled_pair(
    load: Load,
    better: np.ndarray,
    worse: np.ndarray,
    *,
    seed: int,
    index: int,
    on_skip: OnSkip | None = None,
) -> tuple[np.ndarray, int]:
    """Return a labelled pair, in random order, and its label (section 3.1, eq. 1).

    Every epoch of n rows visits each of the n pairs once, in an order of its own. A pair that
    cannot be read is replaced by the one after it in the epoch's order.

    Args:
        load: see the module.
        better: int (n,), the image of each pair that is better (sharper).
        worse: int (n,), the other.
        seed: the run's seed.
        index: number of the row in the whole stream, >= 0; its epoch is ``index // n``.
        on_skip: see the module.

    Returns:
        images: uint8 (2, h, w, 3).
        delta: -1 if the first image is the worse (blurrier), else +1.

    Raises:
        DataError: no pairs, or 20 (or all) in a row cannot be read.
        ValueError: better and worse differ in length.
    """
    n = len(better)
    if n != len(worse):
        raise ValueError(f"{n} better and {len(worse)} worse images: give as many of both")
    if n == 0:
        raise DataError("there are no labelled pairs: label some, or leave out this loss")
    seed, index = int(seed), int(index)
    epoch, position = divmod(index, n)
    order = _permutation(seed, n, epoch)
    worse_first = bool(rng(seed, "labelled pair order", index).integers(2))

    sides = (worse, better) if worse_first else (better, worse)

    def read(i: int) -> np.ndarray:
        with reporting(i, on_skip):
            return load(i)

    def draw(attempt: int) -> np.ndarray:
        pair = order[(position + attempt) % n]
        return np.stack([read(int(side[pair])) for side in sides])

    images = first_readable(draw, min(MAX_ATTEMPTS, n), f"labelled pair of row {index}")
    return images, -1 if worse_first else 1


# A stream moves from one epoch to the next; workers may be a few rows apart.
@functools.lru_cache(maxsize=2)
def _permutation(seed: int, n: int, epoch: int) -> np.ndarray:
    order = rng(seed, "labelled pair", epoch).permutation(n)
    order.setflags(write=False)
    return order
