from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.errors import ImageError
from rankloop.images import shrink
from rankloop.randomness import rng
from rankloop.ranking.sub_images import sub_image, sub_images


def _coordinates(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)


@settings(deadline=None)
@given(st.integers(8, 24), st.integers(8, 24), st.integers(0, 30), st.integers(0, 99))
def test_the_square_lies_in_its_region_and_the_halo_is_as_wide_as_there_is(
    height: int, width: int, halo: int, seed: int
):
    image = _coordinates(height, width)
    sub = sub_image(image, rng(seed), 8).with_halo(halo)
    square = sub.cut(sub.image[None])[0]
    top, left = int(square[0, 0, 0]), int(square[0, 0, 1])
    np.testing.assert_array_equal(square, image[top : top + 8, left : left + 8])
    expected = image[max(0, top - halo) : top + 8 + halo, max(0, left - halo) : left + 8 + halo]
    np.testing.assert_array_equal(sub.image, expected)


def test_all_places_are_as_likely():
    image = _coordinates(5, 6)
    counts: Counter[tuple[int, int]] = Counter()
    for seed in range(1200):
        corner = sub_image(image, rng(seed), 4).with_halo(0).image[0, 0]
        counts[int(corner[0]), int(corner[1])] += 1
    assert set(counts) == {(row, column) for row in range(2) for column in range(3)}
    assert min(counts.values()) > 150


@pytest.mark.parametrize(
    ("shape", "shrunk"),
    [((300, 200), (300, 200)), ((400, 300), (300, 225)), ((1000, 800), (300, 240)),
     ((1000, 250), (400, 100)), ((90, 1200), None)],
)  # fmt: skip
def test_a_sub_image_is_at_least_a_third_of_its_image(
    shape: tuple[int, int], shrunk: tuple[int, int] | None
):
    image = np.zeros((*shape, 3), np.uint8)
    if shrunk is None:
        with pytest.raises(ImageError, match="1200 x 90 pixels holds no square of 100"):
            sub_image(image, rng(0), 100)
        return
    assert sub_image(image, rng(0), 100).image.shape[:2] == shrunk


def test_too_small_an_image_is_refused():
    with pytest.raises(ImageError, match="30 x 20 pixels holds no square of 21"):
        sub_image(np.zeros((20, 30, 3), np.uint8), rng(0), 21)


def test_sub_images_at_test_depend_on_the_pixels_alone():
    image = np.random.default_rng(0).integers(0, 256, (40, 46, 3), np.uint8)
    found = sub_images(image, 30, 16)
    assert found.shape == (30, 16, 16, 3)
    np.testing.assert_array_equal(sub_images(image.copy(), 30, 16), found)
    # Fewer are the first of more.
    np.testing.assert_array_equal(sub_images(image, 4, 16), found[:4])
    windows = np.lib.stride_tricks.sliding_window_view(image, (16, 16), axis=(0, 1))
    places = set()
    for square in found:
        same = (windows == square.transpose(2, 0, 1)).all(axis=(2, 3, 4))
        assert same.sum() == 1
        places.add(tuple(np.argwhere(same)[0].tolist()))
    assert len(places) > 20
    other = image.copy()
    other[0, 0, 0] ^= 1
    assert (sub_images(other, 30, 16) != found).any()
    assert (sub_images(image.swapaxes(0, 1), 30, 16) != found).any()


def test_sub_images_of_large_photographs_are_of_smaller_ones():
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    small = shrink(image, 48)
    np.testing.assert_array_equal(sub_images(image, 5, 16), sub_images(small, 5, 16))
    with pytest.raises(ImageError, match="holds no square of 61"):
        sub_images(image, 5, 61)
