"""Labelled images as they are, in any shape, for methods that learn from scores of whole images."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from rankloop.datasets.dataset import HEAD_COUNT
from rankloop.distortions import DISTORTIONS, RANKIQA_TID2013
from rankloop.errors import DataError, ImageError
from rankloop.images import resize_short_side
from rankloop.methods.method import TrainingData
from rankloop.ranking.ladders import ladder
from rankloop.ranking.ranked_set import RankedSet

_AT_ONCE = 32


def longest_side(short_side: int) -> int:
    """Most pixels of the longer side; of an image longer than twice its width the middle is."""
    return 2 * short_side


def most_pixels(short_side: int) -> int:
    """Pixels of the largest `whole_image`."""
    return short_side * longest_side(short_side)


def whole_image(image: np.ndarray, short_side: int) -> np.ndarray:
    """Resize an image, uint8 (h, w, 3), keeping its aspect ratio; see `resize_short_side`."""
    return resize_short_side(image, short_side, longest_side(short_side))


def whole_image_ladder(
    image: np.ndarray, generator: np.random.Generator, short_side: int
) -> RankedSet:
    """Return a square of a resized image at all levels of one of RankIQA's distortions.

    Raises:
        ImageError: see `ladder`.
    """
    name = RANKIQA_TID2013[int(generator.integers(len(RANKIQA_TID2013)))]
    return ladder(whole_image(image, short_side), generator, short_side, DISTORTIONS[name])


def unpacked_images(pixels: torch.Tensor, sizes: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield images, uint8 (3, h, w), of what `rankloop.ranking.score_list.packed_pixels` made.

    Args:
        pixels: uint8 (n, k, p) of n rows of k images.
        sizes: int64 (n, k, 2).
    """
    shapes = sizes.flatten(0, 1).tolist()
    for flat, (height, width) in zip(pixels.flatten(0, 1), shapes, strict=True):
        yield flat[: 3 * height * width].view(height, width, 3).permute(2, 0, 1)


def row_pictures(row: Mapping[str, np.ndarray]) -> np.ndarray:
    """Put the images of a stream's row on black squares of one size, uint8 (k, s, s, 3)."""
    side = int(row["sizes"].max())
    shown = np.zeros((len(row["sizes"]), side, side, 3), np.uint8)
    for place, (size, flat) in enumerate(zip(row["sizes"], row["pixels"], strict=True)):
        height, width = size
        shown[place, :height, :width] = flat[: 3 * height * width].reshape(height, width, 3)
    return shown


@torch.no_grad()
def encoded_rows(
    model: nn.Module,
    encode: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    data: TrainingData,
    rows: np.ndarray,
    short_side: int,
) -> tuple[torch.Tensor, np.ndarray]:
    """Encode images by their row numbers, in evaluation mode.

    Args:
        model: what encodes.
        encode: a method of it, images uint8 (3, h, w) each to features (n, c).
        data: the images.
        rows: int (n,).
        short_side: see `whole_image`.

    Returns:
        features: float (k, c) of those that can be read, on the model's device.
        rows: int64 (k,), their row numbers.
    """
    was_training = model.training
    model.eval()
    found: list[torch.Tensor] = []
    kept: list[int] = []
    for start in range(0, len(rows), _AT_ONCE):
        images = []
        for row in rows[start : start + _AT_ONCE].tolist():
            try:
                image = whole_image(data.load(row), short_side)
            except ImageError:
                # Vanished since the images were checked.
                continue
            images.append(torch.from_numpy(image).permute(2, 0, 1))
            kept.append(row)
        if images:
            found.append(encode(images))
    model.train(was_training)
    return torch.cat(found) if found else torch.empty(0, 0), np.array(kept, np.int64)


def check_opinions(data: TrainingData, method: str) -> None:
    """Refuse scores that are no opinions of quality.

    Raises:
        DataError: they are numbers of heads.
    """
    if data.dataset.score_name == HEAD_COUNT:
        raise DataError(
            f"the labels of {data.dataset.name} are numbers of heads, which say nothing of "
            f"quality, and {method} learns that: give photographs with opinion scores"
        )
