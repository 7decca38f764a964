"""Additive, multiplicative and impulse noise: #01 to #06 and #19 of TID2013.

The levels of a ladder scale one noise field, so that they are strictly ordered.
"""

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import scipy.fft

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.pixels import (
    LUMA,
    YCBCR_TO_RGB,
    add_scaled,
    normal_field,
    sigma_of_psnr,
)
from rankloop.distortions.sources import AUTHORS, SUPPLEMENT, TID_2013, TID_2013_PSNR

_VARIANCES = (0.001, 0.005, 0.01, 0.05)
_VARIANCE = "variance of the noise, intensities in [0, 1]"
# Pixels. TID2013 does not publish its filter; this one halves the power at 0.13 cycles per pixel, a
# quarter of the highest frequency that pixels hold.
_CORRELATION_SIGMA = 1.0
_HIGH_PASS_RADIUS = 10.0
# Of the deviation that a PSNR means: 0.1 dB below.
_CLOSE_ENOUGH = 0.99
_CORRECTIONS = 30
_BLOCK = 8
# Luminance quantisation of the JPEG standard (ITU-T T.81, table K.1).
_JPEG_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def _gaussian(
    image: np.ndarray,
    generator: np.random.Generator,
    variances: Sequence[float],
    versions: Versions,
) -> None:
    _add(image, normal_field(image, generator), map(_sigma, variances), versions)


def _color(
    image: np.ndarray,
    generator: np.random.Generator,
    variances: Sequence[float],
    versions: Versions,
) -> None:
    # The way back to RGB is linear: the noise alone takes it, once for all levels.
    field = cv2.transform(normal_field(image, generator), YCBCR_TO_RGB.astype(np.float32))
    _add(image, field, map(_sigma, variances), versions)


def _correlated(
    image: np.ndarray,
    generator: np.random.Generator,
    psnrs: Sequence[float],
    versions: Versions,
) -> None:
    white = normal_field(image, generator)
    field = cv2.GaussianBlur(white, (0, 0), _CORRELATION_SIGMA, borderType=cv2.BORDER_REFLECT)
    _add_at_psnr(image, field, psnrs, versions)


def _masked(
    image: np.ndarray,
    generator: np.random.Generator,
    psnrs: Sequence[float],
    versions: Versions,
) -> None:
    """Noise that textures hide: in each 8 x 8 block, as strong as its masking of each frequency.

    The model of PSNR-HVS-M (Ponomarenko et al. 2007): a block masks by the energy of its AC
    coefficients weighted by contrast sensitivity, a frequency needs the more noise to be seen the
    less sensitive the eye is to it.
    """
    height, width, _ = image.shape
    padding = ((0, -height % _BLOCK), (0, -width % _BLOCK))
    luma = np.pad(image @ LUMA.astype(np.float32), padding, mode="symmetric")
    sensitivity = ((10.0 / _JPEG_LUMINANCE) ** 2).astype(np.float32)
    sensitivity[0, 0] = 0.0
    energy = np.einsum("abij,ij->ab", scipy.fft.dctn(_blocks(luma), axes=(2, 3), norm="ortho") ** 2,
                       sensitivity)  # fmt: skip
    threshold = np.divide(
        np.sqrt(energy)[:, :, np.newaxis, np.newaxis],
        sensitivity,
        out=np.zeros((*energy.shape, _BLOCK, _BLOCK), np.float32),
        where=sensitivity > 0,
    )
    noise = generator.standard_normal(threshold.shape, dtype=np.float32) * threshold
    field = _unblocked(scipy.fft.idctn(noise, axes=(2, 3), norm="ortho"))[:height, :width]
    # Noise of the luminance alone, as the model is of the luminance.
    _add_at_psnr(image, np.repeat(field[:, :, np.newaxis], 3, axis=2), psnrs, versions)


def _high_frequency(
    image: np.ndarray,
    generator: np.random.Generator,
    variances: Sequence[float],
    versions: Versions,
) -> None:
    height, width, _ = image.shape
    spectrum = scipy.fft.rfft2(normal_field(image, generator), axes=(0, 1))
    rows = np.square(scipy.fft.fftfreq(height, 1 / height))
    columns = np.square(scipy.fft.rfftfreq(width, 1 / width))
    squared = (rows[:, np.newaxis] + columns[np.newaxis, :]).astype(np.float32)
    spectrum *= -np.expm1(squared / np.float32(-2 * _HIGH_PASS_RADIUS**2))[:, :, np.newaxis]
    field = scipy.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    _add(image, field, map(_sigma, variances), versions)


def _high_frequency_authors(
    image: np.ndarray,
    generator: np.random.Generator,
    variances: Sequence[float],
    versions: Versions,
) -> None:
    """The photograph without the frequencies within about 10 of the highest, plus white noise."""
    field = normal_field(image, generator)
    height, width, _ = image.shape
    rows = np.square(np.arange(height) - height / 2)
    columns = np.square(np.arange(width) - width / 2)
    squared = rows[:, np.newaxis] + columns[np.newaxis, :]
    spectrum = scipy.fft.fft2(image.astype(np.float64), axes=(0, 1))
    spectrum *= -np.expm1(squared / (-2 * _HIGH_PASS_RADIUS**2))[:, :, np.newaxis]
    filtered = scipy.fft.ifft2(spectrum, axes=(0, 1)).real.astype(np.float32)
    _add(filtered, field, map(_sigma, variances), versions)


def _impulse(
    image: np.ndarray,
    generator: np.random.Generator,
    densities: Sequence[float],
    versions: Versions,
) -> None:
    # Nested: what a weak level replaces, a stronger one replaces by the same.
    field = generator.integers(0, 2**16, image.shape, np.uint16)
    for density, version in zip(densities, versions, strict=True):
        half = round(density * 2**15)
        pepper = (field < half).view(np.uint8)
        salt = (field >= 2**16 - half).view(np.uint8)
        np.multiply(image, 1 - pepper, out=version)
        version |= salt * np.uint8(255)


def _multiplicative(
    image: np.ndarray,
    generator: np.random.Generator,
    variances: Sequence[float],
    versions: Versions,
) -> None:
    _times(image, generator, [math.sqrt(variance) for variance in variances], versions)


def _times(
    image: np.ndarray,
    generator: np.random.Generator,
    deviations: Sequence[float],
    versions: Versions,
) -> None:
    field = normal_field(image, generator)
    _add(image, cv2.multiply(image, field, field, dtype=cv2.CV_32F), deviations, versions)


def _sigma(variance: float) -> float:
    return 255.0 * math.sqrt(variance)


def _add(image: np.ndarray, field: np.ndarray, scales: Iterable[float], versions: Versions) -> None:
    base = image.astype(np.float32, copy=False)
    for scale, version in zip(scales, versions, strict=True):
        add_scaled(base, field, scale, version)


def _add_at_psnr(
    image: np.ndarray, field: np.ndarray, psnrs: Sequence[float], versions: Versions
) -> None:
    """Scale the field until this very image has each PSNR; a field of zeros changes nothing."""
    base = image.astype(np.float32)
    root_mean_square = math.sqrt(float(np.mean(np.square(field))))
    unit = 1.0 / root_mean_square if root_mean_square else 0.0
    for psnr, version in zip(psnrs, versions, strict=True):
        wanted = sigma_of_psnr(psnr)
        scale = wanted * unit
        before = 0.0
        # What is clipped is made up for by the rest; nearly flat images can hold no more than so,
        # where all that the field reaches is clipped already.
        for _ in range(_CORRECTIONS):
            add_scaled(base, field, scale, version)
            reached = cv2.norm(version, image) / math.sqrt(image.size)
            if reached <= before or reached > _CLOSE_ENOUGH * wanted:
                break
            before, scale = reached, scale * wanted / reached


def _blocks(plane: np.ndarray) -> np.ndarray:
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    return plane.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2)


def _unblocked(blocks: np.ndarray) -> np.ndarray:
    rows, columns = blocks.shape[:2]
    return blocks.swapaxes(1, 2).reshape(rows * _BLOCK, columns * _BLOCK)


NOISES = (
    Distortion("gaussian_noise", _VARIANCES, _VARIANCE, f"{SUPPLEMENT}, #01", _gaussian),
    Distortion(
        "gaussian_noise_live",
        (0.001, 0.006, 0.022, 0.088, 1.0),
        _VARIANCE,
        f"{SUPPLEMENT}, LIVE",
        _gaussian,
    ),
    Distortion(
        "color_noise",
        (0.0140, 0.0198, 0.0343, 0.0524),
        "variance of the noise in Y, Cb and Cr (studio range), values in [0, 1]",
        f"{SUPPLEMENT}, #02",
        _color,
    ),
    Distortion(
        "correlated_noise",
        TID_2013_PSNR,
        "PSNR in dB of noise blurred by a Gaussian of 1 pixel",
        f"{TID_2013}, #03",
        _correlated,
    ),
    Distortion(
        "masked_noise",
        TID_2013_PSNR,
        "PSNR in dB of luminance noise as strong as textures mask it (PSNR-HVS-M)",
        f"{TID_2013}, #04",
        _masked,
    ),
    Distortion(
        "high_frequency_noise",
        _VARIANCES,
        _VARIANCE + ", before the high-pass filter 1 - exp(-D² / 200)",
        f"{SUPPLEMENT}, #05",
        _high_frequency,
    ),
    Distortion(
        "high_frequency_noise_authors",
        _VARIANCES,
        _VARIANCE + "; white, on a photograph without its very highest frequencies",
        f"{AUTHORS}, #05",
        _high_frequency_authors,
    ),
    Distortion(
        "impulse_noise",
        (0.005, 0.01, 0.05, 0.1),
        "share of values (per channel) turned to 0 or 255, half each",
        f"{SUPPLEMENT}, #06",
        _impulse,
    ),
    Distortion(
        "multiplicative_noise",
        (0.05, 0.09, 0.13, 0.2),
        "variance of the noise that multiplies each value",
        f"{SUPPLEMENT}, #19",
        _multiplicative,
    ),
    Distortion(
        "multiplicative_noise_authors",
        (0.05, 0.09, 0.13, 0.2),
        "standard deviation of the noise that multiplies each value",
        f"{AUTHORS}, #19",
        _times,
    ),
)
