"""A block transform coder without its lossless part: #20 and #21 of TID2013.

TID2013 made both with a coder that is not published whole. What it does to an image is: 32 x 32
blocks of luminance and chrominance through a DCT, coefficients divided by one step and rounded
(Ponomarenko, Lukin, Egiazarian, Astola: DCT based high quality image compression, 2005).
"""

from collections.abc import Sequence

import cv2
import numpy as np
import scipy.fft

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.pixels import (
    RGB_TO_YCBCR,
    YCBCR_TO_RGB,
    add_scaled,
    normal_field,
    sigma_of_psnr,
    to_uint8,
)
from rankloop.distortions.sources import TID_2013, TID_2013_PSNR

_BLOCK = 32
_STEPS = (32.0, 48.0, 72.0, 108.0, 160.0)
# Steps of four and a half standard deviations of the noise remove most of it and least of the
# image (the operating point in Ponomarenko, Lukin, Egiazarian, Lipmanov 2009).
_STEP_PER_SIGMA = 4.5


def _comfort_noise(
    image: np.ndarray, generator: np.random.Generator, steps: Sequence[float], versions: Versions
) -> None:
    """What the coder would drop is replaced by noise of the same energy at each frequency."""
    coefficients = dct_coefficients(image)
    flips = generator.integers(0, 2, coefficients.shape, np.uint8).astype(bool)
    for step, version in zip(steps, versions, strict=True):
        small = np.abs(coefficients) < step / 2
        # The mean of a block is no detail.
        small[..., 0, 0] = False
        noisy = np.where(small & flips, -coefficients, coefficients)
        write_from_dct(noisy, version)


def _noisy_compression(
    image: np.ndarray, generator: np.random.Generator, psnrs: Sequence[float], versions: Versions
) -> None:
    field = normal_field(image, generator)
    for psnr, version in zip(psnrs, versions, strict=True):
        sigma = sigma_of_psnr(psnr)
        step = _STEP_PER_SIGMA * sigma
        coefficients = dct_coefficients(add_scaled(image, field, sigma))
        write_from_dct(np.rint(coefficients / step) * step, version)


def dct_coefficients(image: np.ndarray) -> np.ndarray:
    """Return the DCT of the 32 x 32 blocks of Y, Cb and Cr of an image, uint8 (h, w, 3).

    Returns:
        float32 (rows, columns, 3, 32, 32), the image mirrored to whole blocks.
    """
    height, width, _ = image.shape
    ycbcr = cv2.transform(image.astype(np.float32), RGB_TO_YCBCR.astype(np.float32))
    below, right = -height % _BLOCK, -width % _BLOCK
    padded = cv2.copyMakeBorder(ycbcr, 0, below, 0, right, cv2.BORDER_REFLECT)
    rows, columns = padded.shape[0] // _BLOCK, padded.shape[1] // _BLOCK
    blocks = padded.reshape(rows, _BLOCK, columns, _BLOCK, 3).transpose(0, 2, 4, 1, 3)
    coefficients: np.ndarray = scipy.fft.dctn(blocks, axes=(3, 4), norm="ortho")
    return coefficients


def write_from_dct(coefficients: np.ndarray, version: np.ndarray) -> None:
    """Undo `dct_coefficients` into a version, uint8 (h, w, 3); the coefficients are used up."""
    height, width, _ = version.shape
    rows, columns = coefficients.shape[:2]
    blocks = scipy.fft.idctn(coefficients, axes=(3, 4), norm="ortho", overwrite_x=True)
    ycbcr = blocks.transpose(0, 3, 1, 4, 2).reshape(rows * _BLOCK, columns * _BLOCK, 3)
    rgb = cv2.transform(ycbcr, YCBCR_TO_RGB.astype(np.float32))
    to_uint8(rgb[:height, :width], version)


BLOCK_DCTS = (
    Distortion(
        "comfort_noise",
        _STEPS,
        "quantisation step below half of which DCT coefficients become noise",
        f"{TID_2013}, #20",
        _comfort_noise,
        reach=_BLOCK,
    ),
    Distortion(
        "noisy_compression",
        TID_2013_PSNR,
        "PSNR in dB of the noise that is added before compression with 4.5 times its deviation",
        f"{TID_2013}, #21",
        _noisy_compression,
        reach=_BLOCK,
    ),
)
