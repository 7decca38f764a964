"""Red and blue moved against green: #23 of TID2013."""

from collections.abc import Sequence

import cv2
import numpy as np

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.pixels import put
from rankloop.distortions.sources import AUTHORS, SUPPLEMENT

_AUTHORS_SIGMA = 0.5


def _shifted_channels(
    image: np.ndarray,
    generator: np.random.Generator,
    shifts: Sequence[tuple[int, int]],
    versions: Versions,
) -> None:
    for (red, blue), version in zip(shifts, versions, strict=True):
        _move(image, (red, 0, blue), cv2.BORDER_REFLECT_101, version)


def _shifted_channels_authors(
    image: np.ndarray, generator: np.random.Generator, levels: Sequence[int], versions: Versions
) -> None:
    """Red and green moved, columns without a neighbour kept, then a slight blur."""
    moved = np.empty_like(image)
    for level, version in zip(levels, versions, strict=True):
        _move(image, (level - 1, level // 2 - 1, 0), None, moved)
        blurred = cv2.GaussianBlur(
            moved, (3, 3), _AUTHORS_SIGMA, version, borderType=cv2.BORDER_REFLECT
        )
        put(version, blurred)


def _move(
    image: np.ndarray, shifts: tuple[int, int, int], border: int | None, version: np.ndarray
) -> None:
    """Move each channel right; before its first column it is mirrored, or stays as it was."""
    width = image.shape[1]
    version[...] = image
    for channel, wanted in enumerate(shifts):
        shift = min(wanted, width - 1)
        if not shift:
            continue
        plane = image[:, :, channel]
        version[:, shift:, channel] = plane[:, : width - shift]
        if border is not None:
            mirrored = cv2.copyMakeBorder(plane, 0, 0, shift, 0, border)
            version[:, :shift, channel] = mirrored[:, :shift]


CHROMATIC_ABERRATIONS = (
    Distortion(
        "chromatic_aberration",
        ((2, 1), (6, 3), (10, 5), (14, 7)),
        "pixels by which red and blue are moved to the right",
        f"{SUPPLEMENT}, #23",
        _shifted_channels,
        reach=max,
    ),
    Distortion(
        "chromatic_aberration_authors",
        (2, 6, 10, 14),
        "L: red moved L - 1 and green L / 2 - 1 pixels to the right, then a blur of 0.5 pixels",
        f"{AUTHORS}, #23",
        _shifted_channels_authors,
        reach=lambda level: level,
    ),
)
