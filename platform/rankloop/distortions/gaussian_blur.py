"""Gaussian blur: #08 of TID2013, and LIVE."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from rankloop.distortions.blur import blur, gaussian_profile
from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.pixels import to_uint8
from rankloop.distortions.sources import AUTHORS, SUPPLEMENT

_SIGMAS = 4.0
# From here on an image of half the size holds all that the blur leaves: blurring that one and
# enlarging it is within one grey level of blurring the image itself, and several times as fast.
_SIGMA_PER_HALVING = 5.0
_LANCZOS_RADIUS = 4
_AUTHORS_SIGMAS = 6.0


def _gaussian_blur(
    image: np.ndarray, generator: np.random.Generator, sigmas: Sequence[float], versions: Versions
) -> None:
    for sigma, version in zip(sigmas, versions, strict=True):
        factor = _factor(sigma)
        if factor == 1:
            version[...] = blur(image, "gaussian", sigma)
        else:
            _shrunk_blur(image, sigma, factor, version)


def _factor(sigma: float) -> int:
    return 2 ** max(0, math.floor(math.log2(sigma / _SIGMA_PER_HALVING)))


def _shrunk_blur(image: np.ndarray, sigma: float, factor: int, version: np.ndarray) -> None:
    height, width, _ = image.shape
    # In whole pixels of the small image, whose grid does not fit the mirrored border otherwise.
    margin = math.ceil(_SIGMAS * sigma / factor) + _LANCZOS_RADIUS
    around, below, right = margin * factor, -height % factor, -width % factor
    padded = cv2.copyMakeBorder(
        image, around, around + below, around, around + right, cv2.BORDER_REFLECT_101
    )
    # In float32: halves of grey levels would all be rounded up.
    small = cv2.resize(
        padded.astype(np.float32),
        (padded.shape[1] // factor, padded.shape[0] // factor),
        interpolation=cv2.INTER_AREA,
    )
    # Averaging `factor` pixels has blurred already.
    profile = gaussian_profile(math.sqrt(sigma**2 - (factor**2 - 1) / 12) / factor).astype(
        np.float32
    )
    small = cv2.sepFilter2D(small, cv2.CV_32F, profile, profile)
    edge = margin - _LANCZOS_RADIUS
    small = small[edge : small.shape[0] - edge, edge : small.shape[1] - edge]
    size = (small.shape[1] * factor, small.shape[0] * factor)
    large = cv2.resize(small, size, interpolation=cv2.INTER_LANCZOS4)
    start = _LANCZOS_RADIUS * factor
    to_uint8(large[start : start + height, start : start + width], version)


def _gaussian_blur_authors(
    image: np.ndarray, generator: np.random.Generator, sizes: Sequence[int], versions: Versions
) -> None:
    for size, version in zip(sizes, versions, strict=True):
        profile = cv2.getGaussianKernel(size, size / _AUTHORS_SIGMAS)
        # The border pixel is repeated, as in MATLAB's "symmetric".
        blurred = cv2.sepFilter2D(
            image, cv2.CV_32F, profile, profile, borderType=cv2.BORDER_REFLECT
        )
        to_uint8(blurred, version)


def _reach(sigma: float) -> int:
    factor = _factor(sigma)
    # A shrunk blur reads whole pixels of the small image, and some more to enlarge it.
    return (math.ceil(_SIGMAS * sigma / factor) + (_LANCZOS_RADIUS + 1) * (factor > 1)) * factor


GAUSSIAN_BLURS = (
    Distortion(
        "gaussian_blur",
        (1.2, 2.5, 6.5, 15.2, 33.2),
        "standard deviation in pixels",
        f"{SUPPLEMENT}, #08 (levels 1 to 4) and LIVE",
        _gaussian_blur,
        reach=_reach,
    ),
    Distortion(
        "gaussian_blur_authors",
        (7, 15, 39, 91, 199),
        "side in pixels of the kernel, six standard deviations",
        f"{AUTHORS}, #08 (levels 1 to 4) and LIVE",
        _gaussian_blur_authors,
        reach=lambda size: size // 2,
    ),
)
