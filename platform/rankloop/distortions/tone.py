"""Changes of brightness, contrast and saturation: #16 to #18 of TID2013."""

from collections.abc import Sequence

import cv2
import numpy as np

from rankloop.distortions.distortion import Distortion
from rankloop.distortions.noise import SUPPLEMENT
from rankloop.distortions.pixels import LUMA, RGB_TO_YCBCR, YCBCR_TO_RGB


def _mean_shift(
    image: np.ndarray, generator: np.random.Generator, shifts: Sequence[float]
) -> list[np.ndarray]:
    return [cv2.add(image, (shift, shift, shift, 0.0)) for shift in shifts]


def _contrast(
    image: np.ndarray, generator: np.random.Generator, factors: Sequence[float]
) -> list[np.ndarray]:
    mean = float(np.dot(cv2.mean(image)[:3], LUMA))
    return [cv2.addWeighted(image, factor, image, 0.0, mean * (1 - factor)) for factor in factors]


def _contrast_authors(
    image: np.ndarray, generator: np.random.Generator, factors: Sequence[float]
) -> list[np.ndarray]:
    return [cv2.addWeighted(image, factor, image, 0.0, 0.0) for factor in factors]


def _saturation(
    image: np.ndarray, generator: np.random.Generator, factors: Sequence[float]
) -> list[np.ndarray]:
    versions = []
    for factor in factors:
        # Y stays, Cb and Cr are scaled about grey: in RGB one 3 x 3 matrix, without an offset.
        matrix = YCBCR_TO_RGB @ np.diag([1.0, factor, factor]) @ RGB_TO_YCBCR
        versions.append(cv2.transform(image, matrix))
    return versions


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
        "RankIQA's published code, #17",
        _contrast_authors,
    ),
    Distortion(
        "contrast_increase_authors",
        (1.2, 1.4, 1.6, 1.8),
        "factor of each value: brighter, too",
        "RankIQA's published code, #17",
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
