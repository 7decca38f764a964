"""Arithmetic on uint8 images that several distortions share."""

from functools import lru_cache

import cv2
import numpy as np
import scipy.special

# ITU-R BT.601 in studio range, as MATLAB's rgb2ycbcr: Y in [16, 235], Cb and Cr in [16, 240], of
# R, G, B in [0, 255].
RGB_TO_YCBCR = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
) / np.float64(255.0)
YCBCR_TO_RGB = np.linalg.inv(RGB_TO_YCBCR)
LUMA = np.array([0.299, 0.587, 0.114])
GREY_LEVELS = np.arange(256.0)


def put(version: np.ndarray, made: np.ndarray) -> None:
    """Put what an OpenCV function returned into the version that it was given as ``dst``.

    OpenCV writes there itself, unless the size or type is another than it makes.
    """
    if made is not version:
        version[...] = made.reshape(version.shape)


def add_scaled(
    image: np.ndarray, field: np.ndarray, scale: float, version: np.ndarray | None = None
) -> np.ndarray:
    """Return image + scale * field, rounded to nearest and clipped, uint8 (h, w, 3).

    Args:
        image: uint8 or float32 (h, w, 3).
        field: float32 (h, w, 3).
        scale: in grey levels per unit of the field.
        version: where it is written, uint8 (h, w, 3); None for a new array.
    """
    base = image if image.dtype == np.float32 else image.astype(np.float32)
    version = np.empty(image.shape, np.uint8) if version is None else version
    put(version, cv2.addWeighted(base, 1.0, field, scale, 0.0, version, cv2.CV_8U))
    return version


def to_uint8(image: np.ndarray, version: np.ndarray | None = None) -> np.ndarray:
    """Return a float32 image rounded to nearest (ties to even) and clipped to [0, 255].

    Args:
        image: float32 (h, w, 3).
        version: where it is written, uint8 (h, w, 3); None for a new array.
    """
    version = np.empty(image.shape, np.uint8) if version is None else version
    # OpenCV's C++ saturates when it adds nothing in 8 bits; convertScaleAbs would fold negatives.
    put(version, cv2.add(image, 0.0, version, dtype=cv2.CV_8U))
    return version


def normal_field(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return standard normal noise, one number per pixel and channel, float32 (h, w, 3).

    Numbers are among the middles of 65,536 equally likely intervals, up to 4.3 deviations: several
    times as fast as exact ones, and no 8-bit image can tell.
    """
    field: np.ndarray = _quantiles().take(generator.integers(0, 2**16, image.shape, np.uint16))
    return field


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    count = 2**16
    quantiles = scipy.special.ndtri((np.arange(count) + 0.5) / count)
    table: np.ndarray = (quantiles / quantiles.std()).astype(np.float32)
    table.setflags(write=False)
    return table


def look_up(image: np.ndarray, values: np.ndarray, version: np.ndarray) -> None:
    """Write the image with every grey level v replaced by values[v], float (256,)."""
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    put(version, cv2.LUT(image, table, version))


def sigma_of_psnr(psnr: float) -> float:
    """Return the root of the mean squared error, in grey levels, that is this PSNR in dB."""
    return float(255.0 / 10.0 ** (psnr / 20.0))
