"""Lists of labelled images whose scores are spread over the whole range."""

from collections.abc import Sequence

import numpy as np

from rankloop.randomness import rng
from rankloop.ranking.draws import MAX_ATTEMPTS, Load, OnSkip, first_readable, reporting

# Of each score of a group the positions of its images.
Group = Sequence[np.ndarray]


def score_list(
    load: Load,
    groups: Sequence[Group],
    count: int,
    per_group: int,
    *,
    seed: int,
    step: int,
    item: int,
    on_skip: OnSkip | None = None,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the images of one row of a stream: a function of (seed, step, item).

    Of each group as many images; of a group first a score is drawn, then one of its images, and
    none twice while there are others.

    Args:
        load: position to its image, uint8 (h, w, 3); one for which it raises ImageError is reported
            to ``on_skip(position, reason)`` and replaced by another draw.
        groups: of scores, ascending.
        count: groups to take; of more than that so many are drawn.
        per_group: images of each group.
        seed: the run's seed.
        step: number of the step.
        item: number of the row within the step.
        on_skip: see above.

    Returns:
        images: ``count * per_group`` of them.
        positions: int (count * per_group,).

    Raises:
        DataError: 20 draws in a row gave an image that cannot be used.
    """
    generator = rng(seed, "groups of a list", step, item)
    chosen = np.sort(generator.choice(len(groups), count, replace=False))
    images: list[np.ndarray] = []
    positions: list[int] = []
    for number in np.repeat(chosen, per_group).tolist():
        place = len(positions)
        fresh = [_without(score, positions) for score in groups[number]]
        known = [score for score in fresh if len(score)] or groups[number]

        def draw(attempt: int, known: Group = known, place: int = place) -> tuple[np.ndarray, int]:
            dice = rng(seed, "image of a list", step, item, place, attempt)
            score = known[int(dice.integers(len(known)))]
            position = int(score[int(dice.integers(len(score)))])
            with reporting(position, on_skip):
                return load(position), position

        what = f"image {place} of list {item} of step {step}"
        image, position = first_readable(draw, MAX_ATTEMPTS, what)
        images.append(image)
        positions.append(position)
    return images, np.array(positions)


def packed_pixels(images: Sequence[np.ndarray], most_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Put images, uint8 (h, w, 3) of any shape, into rows of one length.

    Args:
        images: them.
        most_pixels: h * w of the largest that any row has.

    Returns:
        pixels: uint8 (n, 3 * most_pixels), of each image its h * w * 3 values, then zeros.
        sizes: int64 (n, 2), h and w of each.
    """
    pixels = np.zeros((len(images), 3 * most_pixels), np.uint8)
    sizes = np.empty((len(images), 2), np.int64)
    for row, image in enumerate(images):
        sizes[row] = image.shape[:2]
        pixels[row, : image.size] = image.ravel()
    return pixels, sizes


def _without(positions: np.ndarray, used: Sequence[int]) -> np.ndarray:
    return positions[~np.isin(positions, used)]
