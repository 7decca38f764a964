"""Sub-images of labelled images, epoch by epoch."""

import functools
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from rankloop.errors import DataError
from rankloop.randomness import rng
from rankloop.ranking.draws import MAX_ATTEMPTS, Load, OnSkip, first_readable, reporting
from rankloop.ranking.sub_images import sub_image

T = TypeVar("T")


def labelled_example(
    make: Callable[[int, np.random.Generator], T],
    rows: np.ndarray,
    purpose: str,
    *,
    seed: int,
    index: int,
    on_skip: OnSkip | None = None,
) -> tuple[T, int]:
    """Return what is made of a labelled image, epoch by epoch, and which image it is of.

    Every epoch of n rows takes each of the n images once, in an order of its own. An image that
    cannot be used is replaced by the one after it in the epoch's order.

    Args:
        make: (image number, generator) to the example; one for which it raises ImageError is
            reported to ``on_skip(number, reason)``.
        rows: int (n,), numbers of the labelled images.
        purpose: what is made, which tells its generators from others'.
        seed: the run's seed.
        index: number of the row in the whole stream, >= 0; its epoch is ``index // n``.
        on_skip: see above.

    Raises:
        DataError: no labelled images, or 20 (or all) in a row cannot be used.
    """
    n = len(rows)
    if n == 0:
        raise DataError("there are no labelled images: label some, or train on rankings only")
    epoch, position = divmod(int(index), n)
    order = _permutation(int(seed), n, epoch)

    def draw(attempt: int) -> tuple[T, int]:
        row = int(rows[order[(position + attempt) % n]])
        with reporting(row, on_skip):
            return make(row, rng(seed, purpose, index, attempt)), row

    return first_readable(draw, min(MAX_ATTEMPTS, n), f"labelled image of row {index}")


def labelled_sub_image(
    load: Load,
    rows: np.ndarray,
    size: int,
    *,
    seed: int,
    index: int,
    on_skip: OnSkip | None = None,
) -> tuple[np.ndarray, int]:
    """Return a sub-image of a labelled image and which one it is of (TPAMI paper, section 6.1).

    Args:
        load: image number to uint8 (h, w, 3) of any size; one that is smaller than the sub-image
            cannot be used.
        rows: see `labelled_example`.
        size: side in pixels of the sub-image.
        seed: see `labelled_example`.
        index: see `labelled_example`.
        on_skip: see `labelled_example`.

    Returns:
        image: uint8 (size, size, 3).
        row: the image's number.

    Raises:
        DataError: see `labelled_example`.
    """

    def make(row: int, generator: np.random.Generator) -> np.ndarray:
        found = sub_image(load(row), generator, size)
        return found.cut(found.image[np.newaxis])[0]

    return labelled_example(
        make, rows, "labelled sub-image", seed=seed, index=index, on_skip=on_skip
    )


# A stream moves from one epoch to the next; workers may be a few rows apart.
@functools.lru_cache(maxsize=2)
def _permutation(seed: int, n: int, epoch: int) -> np.ndarray:
    order = rng(seed, "labelled images", epoch).permutation(n)
    order.setflags(write=False)
    return order
