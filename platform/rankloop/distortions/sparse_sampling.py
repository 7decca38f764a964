"""Many pixels thrown away and restored from the rest: #24 of TID2013."""

from collections.abc import Sequence

import cv2
import numpy as np
import scipy.fft

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.pixels import to_uint8
from rankloop.distortions.sources import TID_2013

_BLOCK = 16
_ITERATIONS = 20
_FIRST_THRESHOLD, _LAST_THRESHOLD = 200.0, 4.0


def _sparse_sampling(
    image: np.ndarray, generator: np.random.Generator, shares: Sequence[float], versions: Versions
) -> None:
    # Nested: the pixels that a strong level keeps are kept by the weaker ones, too.
    field = generator.random(image.shape[:2], dtype=np.float32)
    for share, version in zip(shares, versions, strict=True):
        version[...] = _restored(image, field < share)


def _restored(image: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Iterative thresholding: the fewest DCT coefficients that agree with the kept pixels.

    Blocks lie elsewhere at each iteration, so that their borders do not show.
    """
    if not kept.any():
        return np.broadcast_to(np.rint(image.mean(axis=(0, 1))).astype(np.uint8), image.shape)
    height, width, _ = image.shape
    samples = image.astype(np.float32)
    mask = kept[:, :, np.newaxis]
    estimate = np.where(mask, samples, samples[kept].mean(axis=0))
    ratios = np.linspace(0.0, 1.0, _ITERATIONS)
    thresholds = _FIRST_THRESHOLD * (_LAST_THRESHOLD / _FIRST_THRESHOLD) ** ratios
    for iteration, threshold in enumerate(thresholds):
        top, left = (5 * iteration) % _BLOCK, (11 * iteration) % _BLOCK
        below, right = -(height + top) % _BLOCK, -(width + left) % _BLOCK
        padded = cv2.copyMakeBorder(estimate, top, below, left, right, cv2.BORDER_REFLECT)
        smooth = _thresholded(padded, float(threshold))
        estimate = np.where(mask, samples, smooth[top : top + height, left : left + width])
    return to_uint8(estimate)


def _thresholded(image: np.ndarray, threshold: float) -> np.ndarray:
    rows, columns = image.shape[0] // _BLOCK, image.shape[1] // _BLOCK
    blocks = image.reshape(rows, _BLOCK, columns, _BLOCK, 3).transpose(0, 2, 4, 1, 3)
    coefficients = scipy.fft.dctn(blocks, axes=(3, 4), norm="ortho")
    kept = np.abs(coefficients) >= threshold
    kept[..., 0, 0] = True
    coefficients *= kept
    blocks = scipy.fft.idctn(coefficients, axes=(3, 4), norm="ortho", overwrite_x=True)
    smooth: np.ndarray = blocks.transpose(0, 3, 1, 4, 2).reshape(image.shape)
    return smooth


SPARSE_SAMPLINGS = (
    Distortion(
        "sparse_sampling",
        (0.6, 0.45, 0.33, 0.24, 0.17),
        "share of pixels kept; the others are restored as sparse in a DCT of 16 x 16 blocks",
        f"{TID_2013}, #24",
        _sparse_sampling,
        reach=2 * _BLOCK,
    ),
)
