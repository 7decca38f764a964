"""The 17 types of RankIQA, each level from scratch in float64, as its MATLAB code makes them."""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np
from ladder_peers import PEERS, Peer, pil_jpeg, pil_jpeg_2000, pil_palette, to_uint8
from scipy import fft, ndimage
from skimage import color, util

from rankloop.distortions import DISTORTIONS
from rankloop.randomness import rng

GENERATOR = rng(0, "the authors' way")


def bm3d_of_noise(image: np.ndarray, variance: float) -> np.ndarray:
    import bm3d

    noisy = util.random_noise(util.random_noise(image, var=variance), var=(25 / 255) ** 2)
    return to_uint8(bm3d.bm3d_rgb(noisy, 25 / 255))


def high_frequency(image: np.ndarray, variance: float) -> np.ndarray:
    rows = np.square(np.arange(image.shape[0]) - image.shape[0] / 2)
    columns = np.square(np.arange(image.shape[1]) - image.shape[1] / 2)
    weight = 1 - np.exp(-(rows[:, None] + columns) / 200)
    spectrum = fft.fft2(image.astype(float), axes=(0, 1)) * weight[:, :, None]
    filtered = np.clip(fft.ifft2(spectrum, axes=(0, 1)).real / 255, 0, 1)
    return to_uint8(util.random_noise(filtered, var=variance))


def color_noise(image: np.ndarray, variance: float) -> np.ndarray:
    ycc = color.rgb2ycbcr(image) / 255
    return to_uint8(np.clip(color.ycbcr2rgb(255 * util.random_noise(ycc, var=variance)), 0, 1))


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    ycc = color.rgb2ycbcr(image)
    ycc[:, :, 1:] = 128 + (ycc[:, :, 1:] - 128) * factor
    return to_uint8(np.clip(color.ycbcr2rgb(ycc), 0, 1))


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    # imfilter finds that the kernel is separable, as here.
    size = 2 * math.ceil(3 * sigma) + 1
    line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    made = image.astype(float)
    for number in (0, 1):
        made = ndimage.convolve1d(made, line / line.sum(), axis=number, mode="reflect")
    return to_uint8(made / 255)


def otsu(image: np.ndarray, step: float) -> np.ndarray:
    distortion = DISTORTIONS["quantization_noise_authors"]
    return distortion.ladder(image, rng(0), [distortion.parameters.index(step) + 1])[0]


def patches(image: np.ndarray, count: int) -> np.ndarray:
    made = image.copy()
    for _ in range(count):
        top, left = GENERATOR.integers(5, [image.shape[0] - 20, image.shape[1] - 20])
        patch = image[top : top + 15, left : left + 15]
        made[top + 5 : top + 20, left + 5 : left + 20] = patch
    return made


def blocks(image: np.ndarray, count: int) -> np.ndarray:
    made, mean = image.copy(), image.mean(axis=(0, 1))
    for _ in range(count):
        top, left = GENERATOR.integers(0, [image.shape[0] - 32, image.shape[1] - 32])
        made[top : top + 32, left : left + 32] = mean
    return made


def aberration(image: np.ndarray, shifts: tuple[int, int]) -> np.ndarray:
    made = image.copy()
    for channel, shift in zip((0, 2), shifts, strict=True):
        made[:, :, channel] = np.roll(image[:, :, channel], shift, axis=1)
    return ndimage.gaussian_filter(made, (0.5, 0.5, 0))


WAYS: dict[str, Peer] = {
    "gaussian_noise": PEERS["gaussian_noise"]["scikit-image"],
    "color_noise": color_noise,
    "high_frequency_noise": high_frequency,
    "impulse_noise": PEERS["impulse_noise"]["scikit-image"],
    "quantization_noise": otsu,
    "gaussian_blur": blur,
    "denoising": bm3d_of_noise,
    "jpeg": pil_jpeg,
    "jpeg2000": pil_jpeg_2000,
    "mean_shift_brighter": lambda x, s: to_uint8((x.astype(float) + s) / 255),
    "mean_shift_darker": lambda x, s: to_uint8((x.astype(float) + s) / 255),
    "contrast_decrease": lambda x, f: to_uint8(x.astype(float) * f / 255),
    "contrast_increase": lambda x, f: to_uint8(x.astype(float) * f / 255),
    "saturation": saturation,
    "multiplicative_noise": PEERS["multiplicative_noise"]["scikit-image"],
    "color_quantization_dither": pil_palette,
    "non_eccentricity_pattern_noise": patches,
    "local_blocks": blocks,
    "chromatic_aberration": aberration,
}
