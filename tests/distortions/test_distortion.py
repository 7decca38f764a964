"""What holds for every distortion."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rankloop.distortions import DISTORTIONS, LIVE, MLIVE, RANKIQA_TID2013, TID2013
from rankloop.distortions.distortion import Distortion
from rankloop.errors import ConfigError
from rankloop.randomness import rng

NEEDS_BM3D = {"denoising_bm3d", "denoising_authors"}
HERE = sorted(set(DISTORTIONS) - NEEDS_BM3D)
# Small images hold few bits: at weak levels no bit may be turned over.
MAY_EQUAL = {"jpeg_transmission_errors", "jpeg2000_transmission_errors", "fast_fading"}


def _ladder(name: str, image: np.ndarray, levels: list[int] | None = None) -> np.ndarray:
    return DISTORTIONS[name].ladder(image, rng(3, "test ladder"), levels)


@pytest.mark.parametrize("name", HERE)
def test_levels_are_images_of_the_same_size_and_level_0_is_the_image(name: str, photo: np.ndarray):
    before = photo.copy()
    made = _ladder(name, photo)
    assert made.dtype == np.uint8
    assert made.shape == (len(DISTORTIONS[name].parameters) + 1, *photo.shape)
    np.testing.assert_array_equal(made[0], photo)
    np.testing.assert_array_equal(photo, before)
    if name not in MAY_EQUAL:
        assert all((version != photo).any() for version in made[1:])


@pytest.mark.parametrize("name", HERE)
def test_the_same_bytes_again_whichever_levels_are_asked_for(name: str, photo: np.ndarray):
    whole = _ladder(name, photo)
    last = len(whole) - 1
    for levels in ([last], [2, 1], [last, 0, 1, last]):
        np.testing.assert_array_equal(_ladder(name, photo, levels), whole[levels])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(HERE),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    fill=st.sampled_from(["noise", "black", "white", "gray"]),
    levels=st.lists(st.integers(0, 4), min_size=1, max_size=3),
)
def test_any_size_and_content_gives_the_same_bytes_for_a_subset(
    name: str, height: int, width: int, fill: str, levels: list[int]
):
    if fill == "noise":
        image = np.random.default_rng(height * 41 + width).integers(
            0, 256, (height, width, 3), np.uint8
        )
    else:
        value = {"black": 0, "white": 255, "gray": 90}[fill]
        image = np.full((height, width, 3), value, np.uint8)
    part = _ladder(name, image, levels)
    assert part.shape == (len(levels), height, width, 3)
    np.testing.assert_array_equal(part, _ladder(name, image)[levels])


@pytest.mark.parametrize("name", HERE)
def test_damage_grows_with_the_level(name: str, large_photo: np.ndarray):
    """By mean squared error, which is the plainest; perceptual order is the benchmark's matter."""
    if name in {"local_blocks_authors"}:
        pytest.skip("more blocks, but fainter: not monotone, and says so")
    image = large_photo[:192, 100:356]
    made = _ladder(name, image).astype(np.float64)
    errors = [float(((version - made[0]) ** 2).mean()) for version in made]
    assert errors[0] == 0
    if name in MAY_EQUAL:
        assert errors[1] <= errors[-1]
        assert errors[-1] > 0
        return
    assert errors == sorted(errors)
    assert len(set(errors)) == len(errors)


def test_another_generator_gives_another_ladder(photo: np.ndarray):
    for name in ("gaussian_noise", "impulse_noise", "local_blocks", "comfort_noise"):
        first = DISTORTIONS[name].ladder(photo, rng(0, "a"))
        second = DISTORTIONS[name].ladder(photo, rng(0, "b"))
        assert (first[1:] != second[1:]).any()


@pytest.mark.parametrize("levels", [[5], [-1], []])
def test_unknown_levels_are_refused(levels: list[int], photo: np.ndarray):
    with pytest.raises(TypeError, match="integer"):
        DISTORTIONS["gaussian_noise"].ladder(photo, rng(0), [1.5])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="gaussian_noise: give at least one of 0 to 4"):
        _ladder("gaussian_noise", photo, levels)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((4, 5, 3), np.float32),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray):
    with pytest.raises(ValueError, match="uint8"):
        _ladder("gaussian_noise", image)


def test_a_maker_cannot_change_the_input(photo: np.ndarray):
    def careless(image, generator, parameters, versions):
        image[0] = 0

    distortion = Distortion("careless", (1,), "", "", careless)
    with pytest.raises(ValueError, match="read-only"):
        distortion.ladder(photo.copy(), rng(0))


def test_halo_is_that_of_the_strongest_level_asked_for():
    blur = DISTORTIONS["gaussian_blur"]
    assert blur.halo([0, 1]) == 5
    assert blur.halo([2, 5, 1]) == blur.halo() == 4 * (34 + 5)
    assert blur.halo([0]) == 0
    assert DISTORTIONS["gaussian_noise"].halo() == 0


def test_sets_name_every_type_once():
    assert sorted(TID2013) == list(range(1, 25))
    names = [name for names in TID2013.values() for name in names]
    assert len(names) == len(set(names)) == 26
    assert set(names) <= set(DISTORTIONS)
    assert all(len(DISTORTIONS[name].parameters) >= 4 for name in names)
    assert len(RANKIQA_TID2013) == 19
    assert set(LIVE) <= set(DISTORTIONS)
    assert all(len(DISTORTIONS[name].parameters) == 5 for name in LIVE)
    assert set(sum(MLIVE.values(), ())) <= set(DISTORTIONS)


def test_what_is_not_monotone_says_so():
    doubtful = {name for name, distortion in DISTORTIONS.items() if not distortion.is_monotone}
    assert doubtful == {
        "saturation",
        "local_blocks_authors",
        "quantization_noise",
        *MAY_EQUAL,
    }


@pytest.mark.parametrize("name", sorted(NEEDS_BM3D))
def test_bm3d_is_asked_for_by_name(name: str, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "bm3d", None)
    with pytest.raises(ConfigError, match="pip install bm3d"):
        _ladder(name, photo, [1])


def test_parameters_are_those_of_the_papers():
    """RankIQA's supplement, section 3, and Ponomarenko et al. for what is given as a PSNR."""
    expected: dict[str, tuple[object, ...]] = {
        "gaussian_noise": (0.001, 0.005, 0.01, 0.05),
        "gaussian_noise_live": (0.001, 0.006, 0.022, 0.088, 1.0),
        "color_noise": (0.0140, 0.0198, 0.0343, 0.0524),
        "high_frequency_noise": (0.001, 0.005, 0.01, 0.05),
        "impulse_noise": (0.005, 0.01, 0.05, 0.1),
        "quantization_noise": (27, 39, 55, 76),
        "gaussian_blur": (1.2, 2.5, 6.5, 15.2, 33.2),
        "denoising": (0.001, 0.005, 0.01, 0.05),
        "jpeg": (43, 12, 7, 4, 0),
        "jpeg2000": (52, 150, 343, 600, 1200),
        "non_eccentricity_pattern_noise": (30, 70, 150, 300),
        "local_blocks": (2, 4, 8, 16),
        "mean_shift_brighter": (15, 30, 45, 60),
        "mean_shift_darker": (-15, -30, -45, -60),
        "contrast_decrease": (0.85, 0.7, 0.55, 0.4),
        "contrast_increase": (1.2, 1.4, 1.6, 1.8),
        "saturation": (0.4, 0, -0.4, -0.8),
        "multiplicative_noise": (0.05, 0.09, 0.13, 0.2),
        "color_quantization_dither": (64, 32, 16, 8),
        "chromatic_aberration": ((2, 1), (6, 3), (10, 5), (14, 7)),
    }
    for name, parameters in expected.items():
        assert DISTORTIONS[name].parameters[: len(parameters)] == parameters, name
