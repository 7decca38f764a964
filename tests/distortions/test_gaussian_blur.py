import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import ndtr

from rankloop.distortions import DISTORTIONS
from rankloop.randomness import rng

SIGMAS = (1.2, 2.5, 6.5, 15.2, 33.2)


def test_every_level_is_within_a_grey_level_of_the_blur(large_photo: np.ndarray):
    made = DISTORTIONS["gaussian_blur"].ladder(large_photo, rng(0))
    for version, sigma in zip(made[1:], SIGMAS, strict=True):
        exact = gaussian_filter(
            large_photo.astype(np.float64), (sigma, sigma, 0), mode="mirror", truncate=6
        )
        assert np.abs(version - exact).max() <= 1.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (31, 2), (45, 67), (64, 64)])
def test_small_and_odd_images(shape: tuple[int, int]):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    made = DISTORTIONS["gaussian_blur"].ladder(image, rng(0))
    for version, sigma in zip(made[1:], SIGMAS, strict=True):
        radius = math.ceil(6 * sigma)
        # numpy mirrors as often as it takes, scipy too: an independent way to the border.
        padded = np.pad(
            image.astype(np.float64), ((radius, radius), (radius, radius), (0, 0)), mode="reflect"
        ) if min(shape) > 1 else None  # fmt: skip
        exact = gaussian_filter(
            image.astype(np.float64), (sigma, sigma, 0), mode="mirror", truncate=6
        )
        if padded is not None:
            inner = gaussian_filter(padded, (sigma, sigma, 0), truncate=6)
            inner = inner[radius : radius + shape[0], radius : radius + shape[1]]
            np.testing.assert_allclose(inner, exact, atol=1e-6)
        assert np.abs(version - exact).max() <= 1.3


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_sigma_is_recovered_from_an_edge(level: int):
    image = np.zeros((40, 400, 3), np.uint8)
    image[:, 200:] = 255
    (version,) = DISTORTIONS["gaussian_blur"].ladder(image, rng(0), [level])
    line = version[20, :, 1].astype(np.float64) / 255
    spread = np.diff(line)
    place = np.arange(399)
    mean = (place * spread).sum() / spread.sum()
    # Differences of neighbours are means over a pixel, whose variance is 1/12.
    sigma = math.sqrt((spread * (place - mean) ** 2).sum() / spread.sum() - 1 / 12)
    assert sigma == pytest.approx(SIGMAS[level - 1], rel=0.02, abs=0.05)
    np.testing.assert_allclose(line, ndtr((np.arange(400) - 199.5) / SIGMAS[level - 1]), atol=0.009)


def test_variant_of_the_authors_cuts_the_kernel_at_three_sigmas(large_photo: np.ndarray):
    image = large_photo[:220, :240]
    made = DISTORTIONS["gaussian_blur_authors"].ladder(image, rng(0))
    for version, size in zip(made[1:], (7, 15, 39, 91, 199), strict=True):
        exact = image.astype(np.float64)
        for axis in (0, 1):
            exact = gaussian_filter1d(exact, size / 6, axis=axis, mode="reflect", radius=size // 2)
        assert np.abs(version - exact).max() <= 0.51
