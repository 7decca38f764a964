"""Noise added, then removed: #09 of TID2013."""

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.pixels import add_scaled, normal_field, to_uint8
from rankloop.distortions.sources import AUTHORS, SUPPLEMENT
from rankloop.errors import ConfigError

_VARIANCES = (0.001, 0.005, 0.01, 0.05)
_PATCH, _SEARCH = 7, 21
_REACH = _SEARCH // 2 + _PATCH // 2
# Non-local means: weights fall with the distance of two patches in units of about the noise.
_STRENGTH_PER_SIGMA = 0.8
_AUTHORS_SIGMA = 25.0

Denoise = Callable[[np.ndarray, float], np.ndarray]


def _denoised(
    denoise: Denoise,
    image: np.ndarray,
    generator: np.random.Generator,
    variances: Sequence[float],
    versions: Versions,
) -> None:
    field = normal_field(image, generator)
    for variance, version in zip(variances, versions, strict=True):
        sigma = 255.0 * variance**0.5
        version[...] = denoise(add_scaled(image, field, sigma), sigma)


def _non_local_means(noisy: np.ndarray, sigma: float) -> np.ndarray:
    strength = _STRENGTH_PER_SIGMA * sigma
    bgr = cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR)
    restored = cv2.fastNlMeansDenoisingColored(bgr, None, strength, strength, _PATCH, _SEARCH)
    return cv2.cvtColor(restored, cv2.COLOR_BGR2RGB)


def _bm3d(noisy: np.ndarray, sigma: float) -> np.ndarray:
    restored = _bm3d_package().bm3d_rgb(noisy / 255.0, sigma / 255.0)
    return to_uint8((255.0 * restored).astype(np.float32))


def _denoised_authors(
    image: np.ndarray,
    generator: np.random.Generator,
    variances: Sequence[float],
    versions: Versions,
) -> None:
    """Noise twice, the second of one strength, which alone BM3D knows of."""
    first, second = normal_field(image, generator), normal_field(image, generator)
    for variance, version in zip(variances, versions, strict=True):
        noisy = add_scaled(image, first, 255.0 * variance**0.5)
        version[...] = _bm3d(add_scaled(noisy, second, _AUTHORS_SIGMA), _AUTHORS_SIGMA)


def _bm3d_package() -> Any:
    try:
        return importlib.import_module("bm3d")
    except ImportError as error:
        raise ConfigError(
            "this distortion needs BM3D, whose licence allows non-commercial use only: "
            "pip install bm3d, or use 'denoising' (non-local means)"
        ) from error


DENOISINGS = (
    Distortion(
        "denoising",
        _VARIANCES,
        "variance of the noise that non-local means removes, intensities in [0, 1]",
        f"{SUPPLEMENT}, #09",
        partial(_denoised, _non_local_means),
        reach=_REACH,
    ),
    Distortion(
        "denoising_bm3d",
        _VARIANCES,
        "variance of the noise that BM3D removes, intensities in [0, 1]",
        f"{SUPPLEMENT}, #09",
        partial(_denoised, _bm3d),
        reach=_REACH,
    ),
    Distortion(
        "denoising_authors",
        _VARIANCES,
        "variance of a noise, intensities in [0, 1], to which one of deviation 25 / 255 is added "
        "before BM3D removes the latter",
        f"{AUTHORS}, #09",
        _denoised_authors,
        reach=_REACH,
    ),
)
