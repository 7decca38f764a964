"""Square crops with one centre, each inside the one before: it cannot hold more people.

TPAMI paper, section 5.2, Algorithm 2.
"""

import math

import numpy as np

from rankloop.errors import ConfigError
from rankloop.images import check_image, crop, resize
from rankloop.ranking.ranked_set import RankedSet, distinct

# TPAMI paper, section 6.2.
CROPS, SCALE, REGION = 5, 0.75, 8.0


def nested_boxes(
    height: int,
    width: int,
    generator: np.random.Generator,
    crops: int = CROPS,
    scale: float = SCALE,
    region: float = REGION,
) -> np.ndarray:
    """Draw nested boxes in an image of this size (Algorithm 2, steps 1 to 3).

    Args:
        height: of the image, in pixels, >= 1.
        width: of the image, in pixels, >= 1.
        generator: two numbers are drawn from it.
        crops: number k of boxes, >= 1.
        scale: s: the side of a box over that of the one before, in (0, 1).
        region: r: the anchor is drawn from the middle 1/r of the image's height and width, >= 1.

    Returns:
        int64 (k, 3): x, y and side in pixels of each box, largest first. Each lies in the one
        before; sides are at least 1.

    Raises:
        ConfigError: a number is out of range.
    """
    _check(crops, scale, region)
    anchor_x, anchor_y = (
        length * (0.5 + (generator.random() - 0.5) / region) for length in (width, height)
    )
    reach = min(anchor_x, width - anchor_x, anchor_y, height - anchor_y)
    side = max(1, math.floor(2 * reach))
    boxes = np.empty((crops, 3), np.int64)
    # Rounded to pixels a centred box may stick out of the one before by one: it is moved back.
    left, top, around_x, around_y = 0, 0, width, height
    for number in range(crops):
        inner = max(1, round(side * scale**number))
        left = min(max(round(anchor_x - inner / 2), left), left + around_x - inner)
        top = min(max(round(anchor_y - inner / 2), top), top + around_y - inner)
        boxes[number] = left, top, inner
        around_x = around_y = inner
    return boxes


def nested_crops(
    image: np.ndarray,
    generator: np.random.Generator,
    size: int,
    crops: int = CROPS,
    scale: float = SCALE,
    region: float = REGION,
) -> RankedSet:
    """Return nested crops of an image, resized (Algorithm 2).

    Here a crop of a lower level ranks above the others by its count: level 0 is the largest.

    Args:
        image: uint8 (h, w, 3).
        generator: of this set.
        size: side in pixels of the resized crops.
        crops: see `nested_boxes`.
        scale: see `nested_boxes`.
        region: see `nested_boxes`.

    Raises:
        ConfigError: a number is out of range.
        ImageError: crops are the same image, of a few pixels or all flat.
    """
    check_image(image)
    height, width, _ = image.shape
    boxes = nested_boxes(height, width, generator, crops, scale, region).tolist()
    versions = [resize(crop(image, x, y, side, side), size) for x, y, side in boxes]
    return distinct(RankedSet(np.stack(versions), np.arange(crops)[:, np.newaxis]))


def _check(crops: int, scale: float, region: float) -> None:
    if crops < 1 or not 0 < scale < 1 or not 1 <= region < math.inf:
        raise ConfigError(
            f"{crops} crops, scale {scale}, anchor region 1/{region}: give at least 1 crop, "
            "0 < scale < 1 and region >= 1"
        )
