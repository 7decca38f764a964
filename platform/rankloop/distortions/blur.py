"""Blur kernels whose strengths share one unit, and blurring with them.

The SSRanking paper (section 3.2) blurs with "the same blur kernel" and does not publish which; the
three here are the common models of lens and camera blur.
"""

import math
from typing import Literal, get_args

import cv2
import numpy as np

from rankloop.errors import ConfigError
from rankloop.images import check_image

BlurKind = Literal["gaussian", "defocus", "motion"]
BLUR_KINDS: tuple[BlurKind, ...] = get_args(BlurKind)

_GAUSSIAN_SIGMAS = 4.0
_SAMPLES_PER_PIXEL = 16

# OpenCV's filter2D turns to Fourier transforms from 130 kernel elements on, zeros included. Its
# direct filter leaves zeros out, and up to about this side it is 2 (disc) to 5 times (line) faster:
# larger kernels are applied in bands of rows with fewer elements than that.
_FOURIER_ELEMENTS = 130
_MAX_BANDED_SIDE = 33


def blur_kernel(kind: BlurKind, strength: float, angle: float = 0.0) -> np.ndarray:
    """Return a blur kernel.

    Its strength is the standard deviation, in pixels along the widest axis, of the shape before it
    is laid on pixels:

    - ``"gaussian"``: sigma = strength, cut at 4 sigma;
    - ``"defocus"``: uniform disc of radius 2 * strength, area-sampled;
    - ``"motion"``: uniform straight line of length sqrt(12) * strength, bilinearly sampled.

    Sampling adds its own extent to the variance of the last two: 1/12 and 1/6 square pixel. Shapes
    narrower than a pixel (strength below about 0.25) blur little or not at all.

    Args:
        kind: one of BLUR_KINDS.
        strength: pixels, >= 0.
        angle: of the line, in radians from the x axis (right) towards the y axis (down); the other
            kernels are symmetric.

    Returns:
        float32 (k, k), k odd, non-negative, sum 1.

    Raises:
        ConfigError: the kind is unknown, the strength is negative, or a number is not finite.
    """
    _check(kind, strength, angle)
    if strength == 0:
        return np.ones((1, 1), np.float32)
    if kind == "gaussian":
        profile = gaussian_profile(strength)
        kernel = np.outer(profile, profile)
    elif kind == "defocus":
        kernel = _disc(2.0 * strength)
    else:
        kernel = _line(math.sqrt(12.0) * strength, angle)
    return (kernel / kernel.sum()).astype(np.float32)


def blur(image: np.ndarray, kind: BlurKind, strength: float, angle: float = 0.0) -> np.ndarray:
    """Blur an image; beyond its borders it is mirrored, without repeating the border pixels.

    Args:
        image: uint8 (h, w, 3) of any size; not changed.
        kind: one of BLUR_KINDS.
        strength: pixels, >= 0, as in `blur_kernel`; 0 gives a copy.
        angle: of motion, in radians, as in `blur_kernel`.

    Returns:
        uint8 (h, w, 3), rounded to nearest.

    Raises:
        ConfigError: as `blur_kernel`.
        ValueError: not such an image.
    """
    _check(kind, strength, angle)
    check_image(image)
    if strength == 0:
        return image.copy()
    if kind != "gaussian":
        return _filter(image, blur_kernel(kind, strength, angle))
    # In float32: OpenCV's 8-bit Gaussian rounds between its two passes (off by more than one grey
    # level) and takes twice as long.
    profile = gaussian_profile(strength).astype(np.float32)
    blurred = cv2.sepFilter2D(
        image, cv2.CV_32F, profile, profile, borderType=cv2.BORDER_REFLECT_101
    )
    return _rounded(blurred)


def _filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    if kernel.size >= _FOURIER_ELEMENTS and len(kernel) <= _MAX_BANDED_SIDE:
        return _filter_in_bands(image, kernel)
    filtered: np.ndarray = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return filtered


def _filter_in_bands(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    height, width, _ = image.shape
    size = len(kernel)
    half = size // 2
    margins = (half, half, half, half)
    padded = cv2.copyMakeBorder(image, *margins, cv2.BORDER_REFLECT_101).astype(np.float32)
    total = np.zeros((height, width, 3), np.float32)
    rows = (_FOURIER_ELEMENTS - 1) // size
    for top in range(0, size, rows):
        band = kernel[top : top + rows]
        below = padded[top : top + len(band) - 1 + height]
        part = cv2.filter2D(below, -1, band, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
        total += part[:height, :width]
    return _rounded(total)


def _rounded(image: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = cv2.convertScaleAbs(image)
    return rounded


def _check(kind: str, strength: float, angle: float) -> None:
    if kind not in BLUR_KINDS:
        raise ConfigError(f"unknown blur kind {kind!r}: give one of {', '.join(BLUR_KINDS)}")
    if not (math.isfinite(strength) and strength >= 0):
        raise ConfigError(f"blur strength {strength} must be a finite number of pixels >= 0")
    if not math.isfinite(angle):
        raise ConfigError(f"blur angle {angle} must be a finite number of radians")


def gaussian_profile(sigma: float) -> np.ndarray:
    """Return one row of a Gaussian, cut at 4 sigma (pixels, > 0), float64 (k,), k odd, sum 1."""
    radius = math.ceil(_GAUSSIAN_SIGMAS * sigma)
    # For a tiny sigma the square is infinite, and the weight 0 that it gives is right.
    with np.errstate(over="ignore"):
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    profile: np.ndarray = weights / weights.sum()
    return profile


def _disc(radius: float) -> np.ndarray:
    """Area of each pixel that the disc covers, float64 (k, k): exact along y, sampled along x."""
    if radius <= 0.5:
        return np.ones((1, 1))
    half = math.ceil(radius - 0.5)
    size = 2 * half + 1
    y = np.arange(-half, half + 1)[:, np.newaxis]
    x = (np.arange(size * _SAMPLES_PER_PIXEL) + 0.5) / _SAMPLES_PER_PIXEL - (half + 0.5)
    chord = np.sqrt(np.maximum(radius**2 - x**2, 0.0))
    covered = np.maximum(np.minimum(y + 0.5, chord) - np.maximum(y - 0.5, -chord), 0.0)
    area: np.ndarray = covered.reshape(size, size, _SAMPLES_PER_PIXEL).mean(axis=2)
    return area


def _line(length: float, angle: float) -> np.ndarray:
    """Points along a line through the middle, each shared by its four nearest pixels; (k, k)."""
    count = math.ceil(length * _SAMPLES_PER_PIXEL)
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    x, y = along * math.cos(angle), along * math.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_share, bottom_share = x - left, y - top
    half = math.floor(length / 2) + 1
    size = 2 * half + 1
    kernel = np.zeros(size * size)
    for down, row_share in ((0, 1 - bottom_share), (1, bottom_share)):
        for right, column_share in ((0, 1 - right_share), (1, right_share)):
            pixel = (top + down + half) * size + left + right + half
            kernel += np.bincount(pixel, row_share * column_share, minlength=size * size)
    return kernel.reshape(size, size)
