"""From the row number of an image to its pixels."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from rankloop.datasets.dataset import Dataset
from rankloop.datasets.prepare import load_image


def array_loader(array: np.ndarray) -> Callable[[int], np.ndarray]:
    """Serve images from memory: ``array`` is uint8 (n, s, s, 3)."""
    return partial(_from_array, array)


def file_loader(dataset: Dataset, size: int | None) -> Callable[[int], np.ndarray]:
    """Decode an image from its file each time it is asked for, as `load_image` does."""
    columns = ["uri", "crop", "longest_side", "hidden_blur"]
    return partial(_from_file, dataset.images.select(columns), size)


def _from_array(array: np.ndarray, row: int) -> np.ndarray:
    image: np.ndarray = array[row]
    return image


def _from_file(images: pa.Table, size: int | None, row: int) -> np.ndarray:
    return load_image(images.slice(row, 1).to_pylist()[0], size)
