import numpy as np

from rankloop.distortions import DISTORTIONS
from rankloop.randomness import rng


def test_patches_come_from_five_pixels_away_and_are_nested(large_photo: np.ndarray):
    # Each pixel tells where it is from.
    rows, columns = np.mgrid[0:200, 0:250]
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    made = DISTORTIONS["non_eccentricity_pattern_noise"].ladder(image, rng(1))
    before = np.zeros((200, 250), bool)
    for version, count in zip(made[1:], (30, 70, 150, 300), strict=True):
        moved = (version != image).any(axis=2)
        assert (version[moved].astype(int) - image[moved] == [5, 5, 0]).all()
        # Patches overlap: at most as many pixels, and not far less.
        assert 0.5 * count * 225 * (1 - count / 700) < moved.sum() <= count * 225
        assert moved[before].all()
        before = moved


def test_every_place_can_be_hit():
    hit = np.zeros((40, 50), int)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    for seed in range(30):
        made = DISTORTIONS["local_blocks"].ladder(image, rng(seed), [3])[0]
        hit += (made != image).any(axis=2)
    assert hit.min() > 0


def test_blocks_have_one_color_and_are_nested(large_photo: np.ndarray):
    made = DISTORTIONS["local_blocks"].ladder(large_photo, rng(2))
    mean = large_photo.mean(axis=(0, 1))
    before = np.zeros(large_photo.shape[:2], bool)
    colors = set()
    for version, count in zip(made[1:], (2, 4, 8, 16), strict=True):
        covered = (version != large_photo).any(axis=2)
        found, counts = np.unique(version[covered], axis=0, return_counts=True)
        assert len(found) == 1
        colors.add(tuple(found[0]))
        assert (np.abs(found[0] - mean) > 49).all()
        # A pixel of that very colour counts as uncovered; blocks may overlap.
        assert 0.6 * count * 32 * 32 < counts.sum() <= count * 32 * 32
        assert covered[before].all()
        before = covered
    assert len(colors) == 1


def test_blocks_of_the_authors_have_the_colors_of_their_code(large_photo: np.ndarray):
    made = DISTORTIONS["local_blocks_authors"].ladder(large_photo, rng(2))
    red, green, blue = large_photo.mean(axis=(0, 1))
    expected = [(0, green, blue), (red + 50, green, blue), (red + 30, green, blue),
                (red, green, blue)]  # fmt: skip
    for version, color in zip(made[1:], expected, strict=True):
        covered = (version != large_photo).any(axis=2)
        found = np.unique(version[covered], axis=0)
        assert len(found) == 1
        assert np.abs(found[0] - np.array(color)).max() <= 0.5
