"""Decoded images in Ray's object store: one copy per node, read in place by every process."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import ray

from rankloop.methods.method import TrainingData


@dataclass(frozen=True)
class SharedImages:
    """A loader over an array in the object store; small to send, whatever the array's size.

    Attributes:
        reference: of a uint8 array (n, s, s, 3).
    """

    reference: ray.ObjectRef

    def __call__(self, row: int) -> np.ndarray:
        """Return image ``row``, uint8 (s, s, 3), read-only."""
        image: np.ndarray = _fetched(self.reference)[row]
        return image


@lru_cache(maxsize=4)
def _fetched(reference: ray.ObjectRef) -> np.ndarray:
    array: np.ndarray = ray.get(reference)
    return array


def share_images(data: TrainingData, array: np.ndarray | None) -> TrainingData:
    """Return the data with its images in the object store; unchanged when there is no array."""
    return data if array is None else replace(data, load=SharedImages(ray.put(array)))
