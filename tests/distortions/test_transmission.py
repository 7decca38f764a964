import numpy as np
import pytest

from rankloop.distortions import DISTORTIONS
from rankloop.distortions.compression import decode_jpeg_2000, encode_jpeg_2000
from rankloop.distortions.transmission import _coded, _hits, _turn_over
from rankloop.randomness import rng

NAMES = ["jpeg_transmission_errors", "jpeg2000_transmission_errors", "fast_fading"]


def test_bits_are_turned_over():
    data = np.zeros(10, np.uint8)
    _turn_over(data, np.array([8, 15, 79, 8, 8]))
    assert data.tolist() == [0, 0b10000001, 0, 0, 0, 0, 0, 0, 0, 0b10000000]


def test_hits_have_the_rate_and_are_nested():
    bits, strengths = _hits(rng(0), np.arange(1000, 101_000), 1e-2)
    assert len(bits) == pytest.approx(8000, rel=0.05)
    assert bits.min() >= 8000
    assert bits.max() < 808_000
    assert (strengths < 5e-3).sum() == pytest.approx(4000, rel=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_over_many_draws(name: str, large_photo: np.ndarray):
    image = large_photo[:256, :384]
    errors = np.array(
        [
            ((version - image.astype(np.float64)) ** 2).mean(axis=(1, 2, 3))
            for version in (
                DISTORTIONS[name].ladder(image, rng(seed)).astype(np.float64) for seed in range(6)
            )
        ]
    )
    mean = errors.mean(axis=0)
    assert (np.diff(mean) > 0).all()
    psnr = 10 * np.log10(255**2 / mean[1:])
    assert psnr[0] > 24
    assert 10 < psnr[-1] < 24


@pytest.mark.parametrize("name", NAMES)
def test_many_seeds_always_decode(name: str, photo: np.ndarray):
    for seed in range(40):
        assert DISTORTIONS[name].ladder(photo, rng(seed)).shape == (6, *photo.shape)


def test_headers_are_not_hit(large_photo: np.ndarray):
    clean = np.frombuffer(encode_jpeg_2000(large_photo, [24 / 2.5], 128), np.uint8)
    coded = _coded(clean)
    # 4 x 5 tiles, each with a header of 12 bytes and a marker of 2 before its data.
    assert (np.diff(coded) > 14).sum() == 19
    assert len(coded) == pytest.approx(15 / 16 * (len(clean) - 20 * 14), rel=0.01)
    assert coded[-1] == len(clean) - 3


def test_errors_stay_in_their_tile(large_photo: np.ndarray):
    image = large_photo[:256, :256]
    clean = decode_jpeg_2000(encode_jpeg_2000(image, [24 / 2.5], 128)).astype(int)
    for seed in range(40):
        made = DISTORTIONS["jpeg2000_transmission_errors"].ladder(image, rng(seed), [1])[0]
        spoiled = np.abs(made - clean).max(axis=2).reshape(2, 128, 2, 128).max(axis=(1, 3)) > 0
        if spoiled.sum() == 1:
            return
    pytest.fail("no single tile was ever hit alone")
