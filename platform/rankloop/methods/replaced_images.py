"""Which images a row of a stream could not use, so that a run can count and list them."""

import logging

import numpy as np

from rankloop.ranking.draws import MAX_ATTEMPTS

# Of every stream that draws images: int64 (20,), row numbers in the dataset, then -1.
REPLACED = "replaced"
_log = logging.getLogger("rankloop")


class ReplacedImages:
    """Collects what is reported while a row is made; give it as ``on_skip``."""

    def __init__(self) -> None:
        self._rows: list[int] = []

    def __call__(self, row: int, reason: str) -> None:
        """Take note of an image by its row number in the dataset."""
        _log.warning("image %d cannot be used and is replaced by another: %s", row, reason)
        self._rows.append(row)

    def column(self) -> np.ndarray:
        """Return the row numbers, int64 (20,), the rest being -1."""
        column = np.full(MAX_ATTEMPTS, -1, np.int64)
        column[: len(self._rows)] = self._rows
        return column
