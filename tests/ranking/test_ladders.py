import numpy as np
import pytest

from rankloop import images
from rankloop.distortions import DISTORTIONS
from rankloop.errors import ConfigError, ImageError
from rankloop.randomness import rng
from rankloop.ranking.ladders import crossed_ladder, ladder
from rankloop.ranking.ranked_set import ranks_above


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return images.decode(images.read_bytes("package:skimage/data/coffee.png"))


def test_a_ladder_is_the_sub_image_at_its_levels(photo: np.ndarray):
    made = ladder(photo, rng(0), 200, DISTORTIONS["mean_shift_darker"], [3, 0])
    assert made.levels.tolist() == [[3], [0]]
    np.testing.assert_array_equal(made.images[0], np.clip(made.images[1].astype(int) - 45, 0, 255))
    assert made.images.shape == (2, 200, 200, 3)


def test_a_large_blur_sees_what_surrounds_the_sub_image(photo: np.ndarray):
    blur = DISTORTIONS["gaussian_blur"]
    whole = blur.ladder(photo, rng(0), [4])[0]
    for seed in range(5):
        made = ladder(photo, rng(seed), 210, blur, [0, 4])
        sharp, blurred = made.images.astype(int)
        # Where the sub-image lies, by its sharp version.
        top, left = next(
            (row, column)
            for row in range(400 - 209)
            for column in range(600 - 209)
            if (photo[row, column] == sharp[0, 0]).all()
            and (photo[row : row + 210, column : column + 210] == sharp).all()
        )
        assert np.abs(whole[top : top + 210, left : left + 210] - blurred).max() <= 1


def test_crossed_ladder_is_a_partial_order_of_all_combinations(photo: np.ndarray):
    blur, jpeg = DISTORTIONS["gaussian_blur"], DISTORTIONS["jpeg"]
    made = crossed_ladder(photo, rng(0), 224, blur, jpeg)
    assert made.images.shape == (9, 224, 224, 3)
    assert made.levels.tolist() == [[a, b] for a in (1, 2, 3) for b in (1, 2, 3)]
    above = ranks_above(made.levels)
    # Of 36 pairs, 9 are crossed: better in the one, worse in the other.
    assert above.sum() == 27


def test_the_second_distortion_draws_the_same_after_each_level_of_the_first():
    # One pixel of another colour, lest the versions be the same.
    gray = np.full((300, 300, 3), 128, np.uint8)
    gray[150, 150] = 255
    blur, noise = DISTORTIONS["gaussian_blur"], DISTORTIONS["gaussian_noise_live"]
    made = crossed_ladder(gray, rng(0), 280, blur, noise).images.reshape(3, 3, 280, 280, 3)
    far = np.ones((280, 280), bool)
    far[90:190, 90:190] = False
    np.testing.assert_array_equal(made[0][:, far], made[1][:, far])
    np.testing.assert_array_equal(made[0][:, far], made[2][:, far])
    assert made[0, 0][far].std() == pytest.approx(255 * 0.001**0.5, rel=0.02)


def test_levels_that_are_the_same_image_make_no_ranked_set(photo: np.ndarray):
    gray = np.repeat(photo[:, :, :1], 3, axis=2)
    with pytest.raises(ImageError, match=r"its levels \[0\] and \[1\] are the same image"):
        ladder(gray, rng(0), 200, DISTORTIONS["saturation"])
    assert len(ladder(gray, rng(0), 200, DISTORTIONS["saturation"], [2]).images) == 1
    # Asked for twice, a level is the same image twice.
    assert len(ladder(photo, rng(0), 200, DISTORTIONS["jpeg"], [1, 1, 2]).images) == 3
    flat = np.full((300, 300, 3), 90, np.uint8)
    blur, jpeg = DISTORTIONS["gaussian_blur"], DISTORTIONS["jpeg"]
    with pytest.raises(ImageError, match="are the same image"):
        crossed_ladder(flat, rng(0), 200, blur, jpeg)


def test_crossed_ladder_with_level_0(photo: np.ndarray):
    blur, jpeg = DISTORTIONS["gaussian_blur"], DISTORTIONS["jpeg"]
    made = crossed_ladder(photo, rng(0), 224, blur, jpeg, [0, 2])
    alone = ladder(photo, rng(0), 224, DISTORTIONS["mean_shift_darker"], [0])
    assert made.levels.tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]
    np.testing.assert_array_equal(made.images[0], alone.images[0])


def test_refusals(photo: np.ndarray):
    blur = DISTORTIONS["gaussian_blur"]
    with pytest.raises(ConfigError, match="give at least one of 0 to 5"):
        ladder(photo, rng(0), 200, blur, [6])
    with pytest.raises(ImageError, match="holds no square"):
        ladder(photo[:100], rng(0), 200, blur)


@pytest.mark.parametrize("name", ["gaussian_blur", "jpeg", "impulse_noise", "chromatic_aberration"])
def test_a_level_is_the_same_bytes_whichever_others_are_made(name: str, photo: np.ndarray):
    distortion = DISTORTIONS[name]
    for seed in range(4):
        whole = ladder(photo, rng(seed), 150, distortion).images
        for level in distortion.levels:
            (alone,) = ladder(photo, rng(seed), 150, distortion, [level]).images
            np.testing.assert_array_equal(alone, whole[level])


@pytest.mark.parametrize("second", ["jpeg", "gaussian_noise_live"])
def test_a_crossed_version_is_the_same_bytes_too(second: str, photo: np.ndarray):
    pair = (DISTORTIONS["gaussian_blur"], DISTORTIONS[second])
    for seed in range(4):
        whole = crossed_ladder(photo, rng(seed), 150, *pair).images
        few = crossed_ladder(photo, rng(seed), 150, *pair, levels=[1, 2]).images
        np.testing.assert_array_equal(few, whole[[0, 1, 3, 4]])
