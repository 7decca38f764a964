"""From the row number of an image to its pixels."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from rankloop.datasets.dataset import Dataset
from rankloop.datasets.prepare import load_image
from rankloop.images import load_whole


def array_loader(array: np.ndarray) -> Callable[[int], np.ndarray]:
    """Serve images from memory: ``array`` is uint8 (n, s, s, 3)."""
    return partial(_from_array, array)


def file_loader(dataset: Dataset, size: int) -> Callable[[int], np.ndarray]:
    """Decode an image from its file each time it is asked for: uint8 (size, size, 3)."""
    return partial(_from_file, dataset.images, size)


def photograph_loader(dataset: Dataset) -> Callable[[int], np.ndarray]:
    """Decode an image at its own scale each time it is asked for: uint8 (h, w, 3).

    Blur that the synthetic annotator hides is defined at another scale and not applied.
    """
    return partial(_whole, dataset.images.select(["uri", "crop", "longest_side"]))


def _whole(images: pa.Table, row: int) -> np.ndarray:
    found = images.slice(row, 1).to_pylist()[0]
    return load_whole(found["uri"], found["crop"], found["longest_side"])


def _from_array(array: np.ndarray, row: int) -> np.ndarray:
    image: np.ndarray = array[row]
    return image


def _from_file(images: pa.Table, size: int, row: int) -> np.ndarray:
    return load_image(images.slice(row, 1).to_pylist()[0], size)
