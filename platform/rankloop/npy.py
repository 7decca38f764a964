"""Arrays as bytes: what rows of a table hold where their shapes differ."""

import io

import numpy as np


def to_bytes(array: np.ndarray) -> bytes:
    """Return an array as the content of a NumPy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def from_bytes(data: bytes) -> np.ndarray:
    """Return the array that `to_bytes` was given."""
    array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    return array
