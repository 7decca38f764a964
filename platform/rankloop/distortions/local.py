"""Distortions of a few places: #14 and #15 of TID2013.

Levels are nested: a stronger level has the places of the weaker ones and more.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.sources import AUTHORS, SUPPLEMENT

_PATCH = 15
_PATCH_SHIFT = 5
_BLOCK = 32
# The colour of a block differs from the photograph's mean by this much or more, in grey levels.
_BLOCK_CONTRAST = 50.0


def _patches(
    image: np.ndarray, generator: np.random.Generator, counts: Sequence[int], versions: Versions
) -> None:
    """Copy patches from the photograph to 5 pixels further up and left."""
    height, width, _ = image.shape
    # In small images patches shrink, so that there is always a place to copy from.
    size = min(_PATCH, height - 1, width - 1)
    if size < 1:
        for version in versions:
            version[...] = image
        return
    shift = min(_PATCH_SHIFT, height - size, width - size)
    places = _places(generator, height - size - shift, width - size - shift, max(counts))
    for count, version in zip(counts, versions, strict=True):
        version[...] = image
        for top, left in places[:count]:
            from_top, from_left = top + shift, left + shift
            version[top : top + size, left : left + size] = image[
                from_top : from_top + size, from_left : from_left + size
            ]


def _blocks(
    image: np.ndarray, generator: np.random.Generator, counts: Sequence[int], versions: Versions
) -> None:
    """Cover blocks with one colour, drawn once for all blocks and levels."""
    mean = np.array(cv2.mean(image)[:3])
    towards = np.where(mean < 128, 1.0, -1.0)
    offsets = generator.uniform(_BLOCK_CONTRAST, 2 * _BLOCK_CONTRAST, 3)
    color = np.rint(mean + towards * offsets).astype(np.uint8)
    _covered(image, generator, counts, [color] * len(counts), versions)


def _blocks_authors(
    image: np.ndarray, generator: np.random.Generator, counts: Sequence[int], versions: Versions
) -> None:
    """More blocks but a fainter colour at each level."""
    red, green, blue, _ = cv2.mean(image)
    colors = {2: (0.0, green, blue), 4: (red + 50.0, green, blue), 8: (red + 30.0, green, blue)}
    faintest = (red, green, blue)
    chosen = [_color(colors.get(count, faintest)) for count in counts]
    _covered(image, generator, counts, chosen, versions)


def _color(values: tuple[float, float, float]) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _covered(
    image: np.ndarray,
    generator: np.random.Generator,
    counts: Sequence[int],
    colors: Sequence[np.ndarray],
    versions: Versions,
) -> None:
    height, width, _ = image.shape
    size = min(_BLOCK, height, width)
    places = _places(generator, height - size, width - size, max(counts))
    for count, color, version in zip(counts, colors, versions, strict=True):
        version[...] = image
        for top, left in places[:count]:
            version[top : top + size, left : left + size] = color


def _places(
    generator: np.random.Generator, last_top: int, last_left: int, count: int
) -> np.ndarray:
    """Uniform (top, left) pairs, int64 (count, 2); the first ones do not depend on the count."""
    places: np.ndarray = generator.integers([0, 0], [last_top + 1, last_left + 1], (count, 2))
    return places


LOCAL = (
    Distortion(
        "non_eccentricity_pattern_noise",
        (30, 70, 150, 300),
        "number of patches of 15 x 15 pixels copied from 5 pixels away",
        f"{SUPPLEMENT}, #14",
        _patches,
        reach=_PATCH + _PATCH_SHIFT,
    ),
    Distortion(
        "local_blocks",
        (2, 4, 8, 16),
        "number of blocks of 32 x 32 pixels covered with one colour",
        f"{SUPPLEMENT}, #15",
        _blocks,
    ),
    Distortion(
        "local_blocks_authors",
        (2, 4, 8, 16),
        "number of blocks of 32 x 32 pixels covered with a colour, fainter the more there are",
        f"{AUTHORS}, #15",
        _blocks_authors,
        is_monotone=False,
    ),
)
