import numpy as np
import pytest

from rankloop.distortions import DISTORTIONS
from rankloop.randomness import rng


def test_kept_pixels_are_the_photograph_and_nested(large_photo: np.ndarray):
    image = large_photo[100:200, 200:330]
    made = DISTORTIONS["sparse_sampling"].ladder(image, rng(0))
    before = np.ones(image.shape[:2], bool)
    for version, share in zip(made[1:], (0.6, 0.45, 0.33, 0.24, 0.17), strict=True):
        kept = (version == image).all(axis=2)
        # Restored pixels are right by luck here and there.
        assert share - 0.02 < kept.mean() < share + 0.12
        assert (kept & before).sum() > 0.8 * kept.sum()
        before = kept


def test_restored_pixels_are_better_than_the_mean_of_their_neighbours(large_photo: np.ndarray):
    from scipy.interpolate import griddata

    image = large_photo[100:180, 200:300]
    (version,) = DISTORTIONS["sparse_sampling"].ladder(image, rng(0), [3])
    kept = rng(0).random(image.shape[:2], dtype=np.float32) < 0.33
    np.testing.assert_array_equal(version[kept], image[kept])
    rows, columns = np.nonzero(kept)
    nearest = griddata(
        (rows, columns), image[kept].astype(float), tuple(np.mgrid[0:80, 0:100]), method="nearest"
    )
    errors = [((v - image.astype(float)) ** 2).mean() for v in (version, nearest)]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2)])
def test_images_of_which_nothing_is_kept(shape: tuple[int, int]):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    for seed in range(10):
        made = DISTORTIONS["sparse_sampling"].ladder(image, rng(seed))
        assert made.shape == (6, *image.shape)
