import numpy as np
import pytest

from rankloop.distortions import DISTORTIONS
from rankloop.randomness import rng

VARIANCES = (0.001, 0.005, 0.01, 0.05)


@pytest.mark.parametrize("name", ["denoising", "denoising_bm3d"])
def test_denoising_removes_most_of_the_noise(name: str, large_photo: np.ndarray):
    if name == "denoising_bm3d":
        pytest.importorskip("bm3d", reason="optional, for its licence: pip install bm3d")
    image = (64 + large_photo[100:228, 200:328] // 2).astype(np.uint8)
    made = DISTORTIONS[name].ladder(image, rng(0)).astype(np.float64)
    for version, variance in zip(made[1:], VARIANCES, strict=True):
        error = ((version - made[0]) ** 2).mean() / 255**2
        assert error < 0.6 * variance


def test_variant_of_the_authors_adds_a_noise_of_its_own(large_photo: np.ndarray):
    pytest.importorskip("bm3d", reason="optional, for its licence: pip install bm3d")
    image = large_photo[100:164, 200:264]
    first, second = (
        DISTORTIONS[name].ladder(image, rng(0), [1])[0]
        for name in ("denoising_bm3d", "denoising_authors")
    )
    errors = [((v.astype(float) - image) ** 2).mean() for v in (first, second)]
    # A deviation of 25 grey levels where the variance 0.001 is one of 8.
    assert errors[1] > errors[0]
