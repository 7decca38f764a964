"""Draws of images of which some cannot be read: these are reported and drawn again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from rankloop.errors import DataError, ImageError

Load = Callable[[int], np.ndarray]
OnSkip = Callable[[int, str], None]
T = TypeVar("T")

MAX_ATTEMPTS = 20


@contextmanager
def reporting(index: int, on_skip: OnSkip | None) -> Iterator[None]:
    """Tell ``on_skip`` when the image with this index turns out to be unusable."""
    try:
        yield
    except ImageError as error:
        if on_skip is not None:
            on_skip(index, str(error))
        raise


def first_readable(draw: Callable[[int], T], attempts: int, what: str) -> T:
    """Return ``draw(0)``, or that of the next attempt for which it raises no ImageError.

    Raises:
        DataError: all attempts failed.
    """
    for attempt in range(attempts):
        try:
            return draw(attempt)
        except ImageError as error:
            last = error
    raise DataError(
        f"{what}: {attempts} draws in a row held an image that cannot be used, the last: {last}"
    ) from last
