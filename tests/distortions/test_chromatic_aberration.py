import numpy as np
import pytest

from rankloop.distortions import DISTORTIONS
from rankloop.randomness import rng


def test_red_and_blue_move_right(photo: np.ndarray):
    made = DISTORTIONS["chromatic_aberration"].ladder(photo, rng(0))
    for version, red, blue in zip(made[1:], (2, 6, 10, 14), (1, 3, 5, 7), strict=True):
        np.testing.assert_array_equal(version[:, :, 1], photo[:, :, 1])
        for channel, shift in ((0, red), (2, blue)):
            plane = photo[:, :, channel]
            np.testing.assert_array_equal(version[:, shift:, channel], plane[:, :-shift])
            # Mirrored about the first column.
            np.testing.assert_array_equal(
                version[:, :shift, channel], plane[:, 1 : shift + 1][:, ::-1]
            )


def test_variant_of_the_authors(photo: np.ndarray):
    made = DISTORTIONS["chromatic_aberration_authors"].ladder(photo, rng(0))
    kernel = np.exp(-(np.arange(-1, 2) ** 2) / (2 * 0.5**2))
    kernel /= kernel.sum()
    for version, red, green in zip(made[1:], (1, 5, 9, 13), (0, 2, 4, 6), strict=True):
        for channel, shift in ((0, red), (1, green), (2, 0)):
            moved = photo[:, :, channel].astype(np.float64)
            if shift:
                moved[:, shift:] = moved[:, :-shift].copy()
                moved[:, :shift] = photo[:, :shift, channel]
            padded = np.pad(moved, 1, mode="symmetric")
            rows = sum(kernel[i] * padded[i : i + len(moved)] for i in range(3))
            expected = sum(kernel[j] * rows[:, j : j + moved.shape[1]] for j in range(3))
            assert np.abs(version[:, :, channel] - expected).max() <= 1.01


@pytest.mark.parametrize("width", [1, 2, 5])
def test_images_narrower_than_the_shift(width: int):
    image = np.random.default_rng(0).integers(0, 256, (6, width, 3), np.uint8)
    made = DISTORTIONS["chromatic_aberration"].ladder(image, rng(0))
    np.testing.assert_array_equal(made[:, :, :, 1], np.repeat(image[None, :, :, 1], 5, axis=0))
