"""Streams of ranked sets of unlabelled images, for any method that learns from them."""

from collections.abc import Callable
from functools import partial

import numpy as np

from rankloop.methods.method import ExampleStream
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.ranking.ranked_set import Recipe, ranked_set_row


def ranked_set_stream(
    load: Callable[[int], np.ndarray],
    rows: np.ndarray,
    recipe: Recipe,
    size: int,
    rows_per_step: int,
    seed: int,
    image_names: tuple[str, ...] = (),
    last: int | None = None,
) -> ExampleStream:
    """Return a stream whose row holds one ranked set.

    Columns: ``images`` uint8 (n, size, size, 3), ``levels`` int64 (n, d), ``source`` int64 (), the
    number of the image that they were made from, ``step`` int64 (), and ``replaced`` (see
    `ReplacedImages`).

    Args:
        load: image number to uint8 (h, w, 3) of any size; see `file_loader`.
        rows: int (m,), numbers of the images to draw from.
        recipe: what to make of an image.
        size: side in pixels of the sets' images.
        rows_per_step: sets of one training step.
        seed: the run's seed.
        image_names: see `ExampleStream`.
        last: see `ExampleStream`.
    """
    row = partial(_row, load, rows, recipe, size, seed)
    return ExampleStream(rows_per_step, row, image_names, last=last)


def _row(
    load: Callable[[int], np.ndarray],
    rows: np.ndarray,
    recipe: Recipe,
    size: int,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    replaced = ReplacedImages()
    made = ranked_set_row(
        lambda i: load(int(rows[i])),
        len(rows),
        recipe,
        size,
        seed=seed,
        step=step,
        item=item,
        on_skip=lambda i, reason: replaced(int(rows[i]), reason),
    )
    return {
        "images": made.images,
        "levels": made.levels,
        "source": np.array(rows[made.source], np.int64),
        "step": np.array(step, np.int64),
        REPLACED: replaced.column(),
    }
