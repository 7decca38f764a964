"""Photographs of crowds with what is known of them, all in the same pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rankloop.datasets.dataset import Dataset
from rankloop.datasets.density_maps import inside_image
from rankloop.errors import ImageError
from rankloop.images import crop, decode, read_bytes, shown_uri, shrink

# What is outside a region of interest is shown at a fraction of its brightness.
_DARKENED = 4


@dataclass(frozen=True)
class CrowdPhotograph:
    """A photograph with heads.

    Attributes:
        image: uint8 (h, w, 3), shrunk and cropped as the dataset says.
        points: heads in it as (x, y), the middle of its first pixel being (0, 0), float64 (n, 2).
        region: where heads are counted, bool (h, w); None for everywhere.
        outside: number of heads of the dataset that lie beyond its borders and are left out.
    """

    image: np.ndarray
    points: np.ndarray
    region: np.ndarray | None
    outside: int


def load_crowd(row: Mapping[str, Any]) -> CrowdPhotograph:
    """Read a photograph with its heads and its region of interest.

    Args:
        row: ``uri``, ``crop``, ``longest_side``, ``points`` and ``region`` as in IMAGE_SCHEMA;
            other keys are ignored.

    Raises:
        ImageError: the photograph cannot be read, the crop leaves it, or the region is not of its
            size.
    """
    try:
        whole = decode(read_bytes(row["uri"]))
        image = shrink(whole, row["longest_side"])
        points = _scaled(row["points"] or (), whole.shape, image.shape)
        region = None if row["region"] is None else _region(row["region"], whole, image)
        if row["crop"] is not None:
            x, y, width, height = row["crop"]
            image = crop(image, x, y, width, height)
            points = points - [x, y]
            region = None if region is None else region[y : y + height, x : x + width]
    except ImageError as error:
        raise ImageError(f"{shown_uri(row['uri'])}: {error}") from error
    here = inside_image(points, image.shape[0], image.shape[1])
    return CrowdPhotograph(image, points[here], region, int(len(here) - here.sum()))


def shown_crowd(dataset: Dataset, row: int) -> np.ndarray:
    """Return an image as annotators see it, uint8 (h, w, 3): dark outside a region of interest.

    Raises:
        ImageError: see `load_crowd`.
    """
    crowd = load_crowd(dataset.images.slice(row, 1).to_pylist()[0])
    if crowd.region is None:
        return crowd.image
    return np.where(crowd.region[..., np.newaxis], crowd.image, crowd.image // _DARKENED)


def photograph_size(dataset: Dataset, row: int) -> list[int]:
    """Return width and height of the photograph of an image, in pixels, before it is shrunk.

    Raises:
        ImageError: it cannot be read.
    """
    height, width, _ = decode(read_bytes(dataset.images["uri"][row].as_py())).shape
    return [width, height]


def points_in_photograph(
    row: Mapping[str, Any],
    points: Sequence[tuple[float, float]],
    shown: Sequence[int],
    photograph: Sequence[int],
) -> tuple[tuple[float, float], ...]:
    """Return points of an image as `load_crowd` gives it in pixels of its photograph.

    Args:
        row: as `load_crowd` takes it.
        points: x and y in pixels of the shrunk and cropped image; those outside the region of
            interest are left out.
        shown: width and height of that image.
        photograph: width and height of the photograph.
    """
    found = np.reshape(points, (-1, 2)).astype(np.float64)
    if row["crop"] is not None:
        found = found + row["crop"][:2]
    if row["longest_side"] is not None and max(photograph) > row["longest_side"]:
        if row["crop"] is not None:
            share = row["longest_side"] / max(photograph)
            shown = [round(side * share) for side in photograph]
        found = _scaled(found, (shown[1], shown[0]), (photograph[1], photograph[0]))
    if row["region"] is not None:
        mask = decode(row["region"])[:, :, 0] > 0
        x, y = np.rint(found).astype(np.int64).T
        found = found[mask[y.clip(0, mask.shape[0] - 1), x.clip(0, mask.shape[1] - 1)]]
    return tuple((float(x), float(y)) for x, y in found)


def _scaled(points: Any, before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray:
    scale = np.array([after[1] / before[1], after[0] / before[0]])
    # Pixels are squares about whole numbers: their borders, not their middles, are scaled.
    scaled: np.ndarray = (np.reshape(points, (-1, 2)).astype(np.float64) + 0.5) * scale - 0.5
    return scaled


def region_mask(png: bytes, whole: np.ndarray) -> np.ndarray:
    """Return the region of interest of a photograph, uint8 (h, w), 0 outside.

    Raises:
        ImageError: it is not of the size of the photograph.
    """
    mask = decode(png)[:, :, 0]
    if mask.shape != whole.shape[:2]:
        raise ImageError(
            f"its region of interest has {mask.shape[1]} x {mask.shape[0]} pixels and it has "
            f"{whole.shape[1]} x {whole.shape[0]}: they must be alike"
        )
    return mask


def _region(png: bytes, whole: np.ndarray, image: np.ndarray) -> np.ndarray:
    mask = region_mask(png, whole)
    size = (image.shape[1], image.shape[0])
    resized: np.ndarray = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
    return resized
