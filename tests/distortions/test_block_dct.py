import numpy as np
import pytest
import scipy.fft

from rankloop.distortions import DISTORTIONS
from rankloop.distortions.block_dct import dct_coefficients, write_from_dct
from rankloop.distortions.sources import TID_2013_PSNR
from rankloop.randomness import rng


def test_there_and_back(photo: np.ndarray):
    for shape in ((96, 128), (1, 1), (33, 40)):
        image = np.ascontiguousarray(photo[: shape[0], : shape[1]])
        back = np.empty_like(image)
        write_from_dct(dct_coefficients(image), back)
        np.testing.assert_array_equal(back, image)


def test_coefficients_are_those_of_one_block(photo: np.ndarray):
    luma = photo[32:64, 64:96].astype(np.float64) @ (np.array([65.481, 128.553, 24.966]) / 255)
    np.testing.assert_allclose(
        dct_coefficients(photo)[1, 2, 0], scipy.fft.dctn(luma, norm="ortho"), atol=0.01
    )


def test_comfort_noise_changes_signs_below_half_a_step_only(photo: np.ndarray):
    # Towards grey, so that nothing is clipped.
    image = (96 + photo // 4).astype(np.uint8)
    before = dct_coefficients(image)
    (version,) = DISTORTIONS["comfort_noise"].ladder(image, rng(0), [2])
    after = dct_coefficients(version)
    small = np.abs(before) < 24
    # Rounding to grey levels moves coefficients by less than 3.
    assert np.abs(after - before)[~small].max() < 3
    clear = small & (np.abs(before) > 8)
    clear[..., 0, 0] = False
    turned = (np.sign(after) != np.sign(before))[clear]
    assert turned.mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(np.abs(after[clear]), np.abs(before[clear]), atol=3)


def test_noisy_compression_removes_most_of_the_noise(large_photo: np.ndarray):
    image = (64 + large_photo[:192, :256] // 2).astype(np.uint8)
    made = DISTORTIONS["noisy_compression"].ladder(image, rng(0)).astype(np.float64)
    for version, psnr in zip(made[1:], TID_2013_PSNR, strict=True):
        error = ((version - made[0]) ** 2).mean()
        assert error < 0.8 * 255**2 / 10 ** (psnr / 10)
