import cv2
import numpy as np
import pytest

from rankloop.distortions import DISTORTIONS
from rankloop.randomness import rng


def _versions(name: str, image: np.ndarray) -> np.ndarray:
    return DISTORTIONS[name].ladder(image, rng(0))[1:]


@pytest.mark.parametrize(("name", "sign"), [("mean_shift_brighter", 1), ("mean_shift_darker", -1)])
def test_mean_shift_adds_grey_levels(name: str, sign: int, photo: np.ndarray):
    for version, shift in zip(_versions(name, photo), (15, 30, 45, 60), strict=True):
        np.testing.assert_array_equal(version, np.clip(photo.astype(int) + sign * shift, 0, 255))


@pytest.mark.parametrize(
    ("name", "factors"),
    [("contrast_decrease", (0.85, 0.7, 0.55, 0.4)), ("contrast_increase", (1.2, 1.4, 1.6, 1.8))],
)
def test_contrast_is_about_the_mean_luminance(
    name: str, factors: tuple[float, ...], photo: np.ndarray
):
    mean = (photo.astype(np.float64) @ [0.299, 0.587, 0.114]).mean()
    for version, factor in zip(_versions(name, photo), factors, strict=True):
        expected = np.clip(mean + factor * (photo - mean), 0, 255)
        assert np.abs(version - expected).max() <= 0.501


def test_contrast_of_the_authors_is_about_black(photo: np.ndarray):
    expected = np.clip(photo * 1.4, 0, 255)
    assert np.abs(_versions("contrast_increase_authors", photo)[1] - expected).max() <= 0.501


def test_contrast_decrease_keeps_the_mean(photo: np.ndarray):
    for version in _versions("contrast_decrease", photo):
        luma = version.astype(np.float64) @ [0.299, 0.587, 0.114]
        assert luma.mean() == pytest.approx(
            (photo.astype(np.float64) @ [0.299, 0.587, 0.114]).mean(), abs=0.1
        )


@pytest.mark.parametrize(
    ("name", "factors"),
    [("saturation", (0.4, 0.0, -0.4, -0.8)), ("saturation_monotone", (0.75, 0.5, 0.25, 0.0))],
)
def test_saturation_scales_chrominance(name: str, factors: tuple[float, ...], photo: np.ndarray):
    matrix = (
        np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
        / 255
    )
    offset = np.array([16.0, 128.0, 128.0])
    for version, factor in zip(_versions(name, photo), factors, strict=True):
        for row in range(0, photo.shape[0], 7):
            for column in range(0, photo.shape[1], 5):
                ycbcr = matrix @ photo[row, column] + offset
                ycbcr[1:] = 128 + factor * (ycbcr[1:] - 128)
                rgb = np.clip(np.linalg.inv(matrix) @ (ycbcr - offset), 0, 255)
                assert np.abs(version[row, column] - rgb).max() <= 0.75


def test_saturation_0_is_grey(photo: np.ndarray):
    gray = _versions("saturation", photo)[1]
    # The weights of luminance are OpenCV's own, to within rounding.
    expected = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(gray - expected[:, :, None]).max() <= 1
