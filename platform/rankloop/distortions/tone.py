"""Changes of brightness, contrast and saturation: #16 to #18 of TID2013."""

from collections.abc import Sequence

import cv2
import numpy as np

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.pixels import LUMA, RGB_TO_YCBCR, YCBCR_TO_RGB, put
from rankloop.distortions.sources import AUTHORS, SUPPLEMENT


def _mean_shift(
    image: np.ndarray, generator: np.random.Generator, shifts: Sequence[float], versions: Versions
) -> None:
    for shift, version in zip(shifts, versions, strict=True):
        put(version, cv2.add(image, (shift, shift, shift, 0.0), version))


def _contrast(
    image: np.ndarray, generator: np.random.Generator, factors: Sequence[float], versions: Versions
) -> None:
    mean = float(np.dot(cv2.mean(image)[:3], LUMA))
    for factor, version in zip(factors, versions, strict=True):
        put(version, cv2.addWeighted(image, factor, image, 0.0, mean * (1 - factor), version))


def _contrast_authors(
    image: np.ndarray, generator: np.random.Generator, factors: Sequence[float], versions: Versions
) -> None:
    for factor, version in zip(factors, versions, strict=True):
        put(version, cv2.addWeighted(image, factor, image, 0.0, 0.0, version))


def _saturation(
    image: np.ndarray, generator: np.random.Generator, factors: Sequence[float], versions: Versions
) -> None:
    for factor, version in zip(factors, versions, strict=True):
        # Y stays, Cb and Cr are scaled about grey: in RGB one 3 x 3 matrix, without an offset.
        matrix = YCBCR_TO_RGB @ np.diag([1.0, factor, factor]) @ RGB_TO_YCBCR
        put(version, cv2.transform(image, matrix, version))


TONES = (
    Distortion(
        "mean_shift_brighter",
        (15.0, 30.0, 45.0, 60.0),
        "grey levels added",
        f"{SUPPLEMENT}, #16",
        _mean_shift,
    ),
    Distortion(
        "mean_shift_darker",
        (-15.0, -30.0, -45.0, -60.0),
        "grey levels added",
        f"{SUPPLEMENT}, #16",
        _mean_shift,
    ),
    Distortion(
        "contrast_decrease",
        (0.85, 0.7, 0.55, 0.4),
        "factor of the distance from the mean luminance",
        f"{SUPPLEMENT}, #17",
        _contrast,
    ),
    Distortion(
        "contrast_increase",
        (1.2, 1.4, 1.6, 1.8),
        "factor of the distance from the mean luminance",
        f"{SUPPLEMENT}, #17",
        _contrast,
    ),
    Distortion(
        "contrast_decrease_authors",
        (0.85, 0.7, 0.55, 0.4),
        "factor of each value: darker, too",
        f"{AUTHORS}, #17",
        _contrast_authors,
    ),
    Distortion(
        "contrast_increase_authors",
        (1.2, 1.4, 1.6, 1.8),
        "factor of each value: brighter, too",
        f"{AUTHORS}, #17",
        _contrast_authors,
    ),
    Distortion(
        "saturation",
        (0.4, 0.0, -0.4, -0.8),
        "factor of Cb and Cr; negative ones turn each hue into its opposite",
        f"{SUPPLEMENT}, #18",
        _saturation,
        # Opposite hues at full strength need not look worse than grey.
        is_monotone=False,
    ),
    Distortion(
        "saturation_monotone",
        (0.75, 0.5, 0.25, 0.0),
        "factor of Cb and Cr, down to grey",
        "ours: #18 without the inversion of hues",
        _saturation,
    ),
)
