import itertools

import numpy as np
import pytest

from rankloop.distortions import DISTORTIONS
from rankloop.distortions.quantization import otsu_thresholds
from rankloop.randomness import rng


def test_steps_of_quantization_noise(photo: np.ndarray):
    made = DISTORTIONS["quantization_noise"].ladder(photo, rng(0))
    for version, step in zip(made[1:], (27, 39, 55, 76), strict=True):
        assert (version.astype(int) % step == 0).all()
        # Nearest, except where that is above 255.
        assert np.abs(version.astype(int) - photo).max() <= max(step // 2, 255 % step)


def _variance_within(histogram: np.ndarray, thresholds: tuple[int, ...]) -> float:
    total = 0.0
    edges = [-1, *thresholds, 255]
    for low, high in itertools.pairwise(edges):
        values = np.arange(low + 1, high + 1)
        weights = histogram[low + 1 : high + 1].astype(float)
        if weights.sum():
            mean = (values * weights).sum() / weights.sum()
            total += (weights * (values - mean) ** 2).sum()
    return total


@pytest.mark.parametrize("count", [1, 2, 3])
def test_otsu_thresholds_are_the_best_of_all(count: int):
    generator = np.random.default_rng(count)
    histogram = np.zeros(256, int)
    # Few values, so that all cuts can be tried.
    used = np.sort(generator.choice(256, 12, replace=False))
    histogram[used] = generator.integers(1, 50, 12)
    best = min(_variance_within(histogram, cuts) for cuts in itertools.combinations(used, count))
    (found,) = otsu_thresholds(histogram, [count])
    assert len(found) == count
    assert (np.diff(found) > 0).all()
    assert _variance_within(histogram, tuple(found)) == pytest.approx(best, rel=1e-9)


def test_otsu_agrees_with_scikit_image(photo: np.ndarray):
    from skimage.filters import threshold_multiotsu

    histogram = np.bincount(photo.ravel(), minlength=256)
    (found,) = otsu_thresholds(histogram, [3])
    expected = threshold_multiotsu(photo.reshape(len(photo), -1), classes=4)
    assert _variance_within(histogram, tuple(found)) <= _variance_within(
        histogram, tuple(int(t) for t in expected)
    ) * (1 + 1e-9)
    assert np.abs(found - expected).max() <= 2


def test_variant_of_the_authors_has_as_many_values_as_thresholds_and_one(photo: np.ndarray):
    made = DISTORTIONS["quantization_noise_authors"].ladder(photo, rng(0))
    histogram = np.bincount(photo.ravel(), minlength=256)
    for version, count in zip(made[1:], (9, 6, 4, 3), strict=True):
        (thresholds,) = otsu_thresholds(histogram, [count])
        allowed = {0, 255, *thresholds[1:].tolist()}
        assert set(np.unique(version)) <= allowed
        assert (version[photo <= thresholds[0]] == 0).all()
        assert (version[photo > thresholds[-1]] == 255).all()


def test_colors_of_the_palette(large_photo: np.ndarray):
    image = large_photo[:128, :192]
    made = DISTORTIONS["color_quantization_dither"].ladder(image, rng(0))
    for version, count in zip(made[1:], (64, 32, 16, 8), strict=True):
        colors = np.unique(version.reshape(-1, 3), axis=0)
        assert count // 2 < len(colors) <= count
        # Diffused errors keep the mean of every larger patch; nearest colours do not.
        distances = ((image[:, :, None].astype(int) - colors) ** 2).sum(axis=3)
        nearest = colors[distances.argmin(axis=2)]
        errors = [np.abs(_patches(found) - _patches(image)).mean() for found in (version, nearest)]
        assert errors[0] < 0.9 * errors[1]


def _patches(image: np.ndarray) -> np.ndarray:
    return image.reshape(8, 16, 12, 16, 3).mean(axis=(1, 3))


def test_nested_classes_become_their_means(photo: np.ndarray):
    made = DISTORTIONS["quantization_noise_monotone"].ladder(photo, rng(0))
    for version, step in zip(made[1:], (16, 32, 64, 128), strict=True):
        for low in range(0, 256, step):
            here = (photo >= low) & (photo < low + step)
            if here.any():
                assert (version[here] == np.rint(photo[here].mean())).all()
    errors = [((version.astype(float) - photo) ** 2).mean() for version in made]
    assert errors == sorted(set(errors))
