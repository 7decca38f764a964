from collections.abc import Callable

import numpy as np
import pytest
import scipy.fft

from rankloop.distortions import DISTORTIONS
from rankloop.distortions.sources import TID_2013_PSNR
from rankloop.randomness import rng


def _noise(name: str, image: np.ndarray, seed: int = 0) -> np.ndarray:
    """Versions less the image, in [0, 1] intensities, float64 (levels, h, w, 3)."""
    made = DISTORTIONS[name].ladder(image, rng(seed, name)).astype(np.float64)
    return (made[1:] - made[0]) / 255.0


def _psnr(difference: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(difference**2)))


def test_gaussian_noise_has_the_variance_of_its_level(gray: np.ndarray):
    # At the last level, 0.05, a hundredth of the values is clipped.
    for noise, variance in zip(
        _noise("gaussian_noise", gray)[:3], (0.001, 0.005, 0.01), strict=True
    ):
        assert noise.mean() == pytest.approx(0, abs=0.002)
        assert noise.var() == pytest.approx(variance, rel=0.02)
        assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.01


def test_levels_scale_one_field(gray: np.ndarray):
    noise = _noise("gaussian_noise", gray)
    unit = noise[2] / np.sqrt(0.01)
    # Within rounding of both.
    np.testing.assert_allclose(noise[1], unit * np.sqrt(0.005), atol=1.01 / 255)


def test_color_noise_has_the_variance_of_its_level_in_ycbcr(gray: np.ndarray):
    # rgb2ycbcr of MATLAB, written out.
    matrix = np.array(
        [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
    )
    made = DISTORTIONS["color_noise"].ladder(gray, rng(0)).astype(np.float64) / 255
    base = made[0] @ matrix.T
    generator = np.random.default_rng(0)
    inverse = np.linalg.inv(matrix) * 255
    for level, variance in enumerate((0.0140, 0.0198, 0.0343, 0.0524), 1):
        noise = (made[level] @ matrix.T - base) / 255
        # Values beyond [0, 255] are clipped, alike in what is expected.
        field = generator.normal(0, np.sqrt(variance), gray.shape) @ inverse.T
        clipped = np.clip(made[0] + field, 0, 1)
        expected = (clipped @ matrix.T - base) / 255
        for channel in range(3):
            assert noise[:, :, channel].var() == pytest.approx(
                expected[:, :, channel].var(), rel=0.03
            )


@pytest.mark.parametrize(
    ("name", "variances"),
    [
        ("gaussian_noise", (0.001, 0.005, 0.01, 0.05)),
        ("gaussian_noise_live", (0.001, 0.006, 0.022, 0.088, 1.0)),
    ],
)
def test_gaussian_noise_of_every_level_is_that_of_its_variance(
    name: str, variances: tuple[float, ...], gray: np.ndarray
):
    generator = np.random.default_rng(0)
    found = _noise(name, gray)
    assert len(found) == len(variances)
    for noise, variance in zip(found, variances, strict=True):
        # Clipped as the levels are.
        field = generator.normal(0, np.sqrt(variance), gray.shape)
        expected = np.clip(gray / 255 + field, 0, 1) - gray / 255
        assert noise.var() == pytest.approx(expected.var(), rel=0.02)


@pytest.mark.parametrize("name", ["correlated_noise", "masked_noise"])
def test_psnr_is_that_of_the_level_although_much_is_clipped(name: str, large_photo: np.ndarray):
    image = large_photo[:200, :300].copy()
    # A white sky holds no masked noise, and half of any other.
    image[:60] = 255
    for noise, psnr in zip(_noise(name, image), TID_2013_PSNR, strict=True):
        assert _psnr(noise) == pytest.approx(psnr, abs=0.15)


def test_correlated_noise_is_alike_in_neighbours(gray: np.ndarray):
    noise = _noise("correlated_noise", gray)[2][:, :, 0]
    power = np.abs(np.fft.fft2(noise)) ** 2
    frequency = np.hypot(np.fft.fftfreq(200)[:, None], np.fft.fftfreq(300)[None])
    low, half = power[frequency < 0.04].mean(), power[np.abs(frequency - 0.1325) < 0.01].mean()
    assert half / low == pytest.approx(0.5, abs=0.06)


def test_masked_noise_follows_the_masking_of_psnr_hvs_m(large_photo: np.ndarray):
    image = (64 + large_photo[:160, :240] // 2).astype(np.uint8)
    noise = np.stack([_noise("masked_noise", image, seed)[1][:, :, 1] for seed in range(12)])
    luma = image @ np.array([0.299, 0.587, 0.114])
    # ITU-T T.81, table K.1, first row.
    row_0 = [16, 11, 10, 16, 24, 40, 51, 61]
    energies, strengths = [], []
    for top in range(0, 160, 8):
        for left in range(0, 240, 8):
            spectrum = scipy.fft.dctn(luma[top : top + 8, left : left + 8], norm="ortho") ** 2
            energies.append(sum(spectrum[0, j] * (10 / row_0[j]) ** 2 for j in range(1, 8)))
            strengths.append(noise[:, top : top + 8, left : left + 8].var())
    energies, strengths = np.array(energies), np.array(strengths)
    # Rows alone stand for the energy of the block: correlated, not equal.
    assert np.corrcoef(np.log(energies + 1e-9), np.log(strengths + 1e-9))[0, 1] > 0.8
    blocks = noise.reshape(12, 20, 8, 30, 8).transpose(0, 1, 3, 2, 4)
    power = (scipy.fft.dctn(blocks, axes=(3, 4), norm="ortho") ** 2).mean(axis=(0, 1, 2))
    # Rounding to grey levels adds the same to all frequencies.
    power -= 1 / 12 / 255**2
    # Noise amplitude is as 1 / (10 / q)², its power as q⁴.
    assert power[5, 6] / power[3, 7] == pytest.approx((113 / 62) ** 4, rel=0.2)
    assert power[0, 0] < 0.02 * power.max()


def test_high_frequency_noise_is_white_noise_through_the_high_pass(gray: np.ndarray):
    noise = np.stack([_noise("high_frequency_noise", gray, seed)[2] for seed in range(6)])
    power = (np.abs(np.fft.fft2(noise, axes=(1, 2))) ** 2).mean(axis=(0, 3)) / (200 * 300)
    for row, column in ((0, 0), (0, 5), (4, 3), (10, 10), (50, 60), (100, 150)):
        distance = row**2 + column**2
        around = power[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].mean()
        expected = 0.01 * (1 - np.exp(-distance / 200)) ** 2
        assert around == pytest.approx(expected, rel=0.5, abs=3e-4)
    assert power[60:140].mean() == pytest.approx(0.01, rel=0.03)


def test_high_frequency_noise_of_the_authors_is_white(gray: np.ndarray):
    noise = _noise("high_frequency_noise_authors", gray)[2]
    power = np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2 / (200 * 300)
    assert power[:8, :8].mean() == pytest.approx(0.01, rel=0.3)


def test_impulse_noise_is_salt_and_pepper_and_nested(gray: np.ndarray):
    made = DISTORTIONS["impulse_noise"].ladder(gray, rng(0))
    hit_before = np.zeros(gray.shape, bool)
    for version, density in zip(made[1:], (0.005, 0.01, 0.05, 0.1), strict=True):
        hit = version != gray
        assert set(np.unique(version[hit])) == {0, 255}
        assert (version == 0).mean() == pytest.approx(density / 2, rel=0.12)
        assert (version == 255).mean() == pytest.approx(density / 2, rel=0.12)
        assert hit[hit_before].all()
        hit_before = hit


@pytest.mark.parametrize(
    ("name", "deviation"),
    [("multiplicative_noise", np.sqrt), ("multiplicative_noise_authors", float)],
)
def test_multiplicative_noise_grows_with_the_value(name: str, deviation: Callable[[float], float]):
    for value in (20, 60, 90):
        image = np.full((150, 150, 3), value, np.uint8)
        levels = (0.05, 0.09, 0.13, 0.2)
        generator = np.random.default_rng(value)
        for noise, level in zip(_noise(name, image) * 255, levels, strict=True):
            field = generator.normal(0, value * deviation(level), image.shape)
            expected = np.rint(np.clip(value + field, 0, 255)) - value
            assert noise.std() == pytest.approx(expected.std(), rel=0.02)


def test_masked_noise_of_a_nearly_white_page_stays_where_there_is_something_to_mask():
    page = np.full((600, 400, 3), 255, np.uint8)
    page[300:303, 200:203] = 0
    made = DISTORTIONS["masked_noise"].ladder(page, rng(0))
    changed = (made != page).any(axis=3).sum(axis=(1, 2))
    assert changed[0] == 0
    assert 0 < changed[1] <= changed.max() <= 300
