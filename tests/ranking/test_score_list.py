"""Lists of labelled images, the same whoever makes them."""

from collections import Counter

import numpy as np
import pytest

from rankloop.errors import DataError, ImageError
from rankloop.ranking.score_list import packed_pixels, score_list

GROUPS = [[np.array([0, 1, 2])], [np.array([3]), np.array([4, 5, 6, 7])], [np.array([8])]]


def _load(position: int) -> np.ndarray:
    return np.full((4 + position, 6, 3), position, np.uint8)


def _positions(
    count: int = 3, per_group: int = 1, step: int = 0, load=_load, **values
) -> list[int]:
    given = {"seed": 0, "step": step, "item": 0, **values}
    images, positions = score_list(load, GROUPS, count, per_group, **given)
    assert [int(image[0, 0, 0]) for image in images] == positions.tolist()
    return positions.tolist()


def test_a_list_has_as_many_images_of_each_group_in_the_order_of_scores():
    for step in range(50):
        first, second, third, fourth, fifth, sixth = _positions(per_group=2, step=step)
        assert {first, second} < {0, 1, 2}
        assert {third, fourth} < {3, 4, 5, 6, 7}
        assert first != second
        assert third != fourth
        # The only one of its group.
        assert fifth == sixth == 8


def test_a_rare_score_is_drawn_as_often_as_a_frequent_one():
    drawn = Counter(_positions(step=step)[1] for step in range(600))
    assert 240 < drawn[3] < 360
    assert all(40 < drawn[position] < 120 for position in (4, 5, 6, 7))


def test_of_more_groups_some_are_drawn():
    drawn = [
        tuple(sorted({p > 2, p > 7} for p in [_positions(1, step=s)[0]])[0]) for s in range(99)
    ]
    assert len(set(drawn)) == 3


def test_a_list_is_a_function_of_seed_step_and_item():
    lists = [
        _positions(per_group=3, step=s, seed=d, item=i)
        for s in (0, 1)
        for d in (0, 1)
        for i in (0, 1)
    ]
    assert len({tuple(found) for found in lists}) > 4
    assert lists[5] == _positions(per_group=3, step=1, seed=0, item=1)


def test_an_image_that_cannot_be_read_is_replaced_and_reported():
    reported = []

    def load(position: int) -> np.ndarray:
        if position == 4:
            raise ImageError("gone")
        return _load(position)

    for step in range(60):
        found = _positions(
            step=step, load=load, on_skip=lambda position, reason: reported.append(position)
        )
        assert 4 not in found
    assert set(reported) == {4}
    with pytest.raises(DataError, match="image 2 of list 0 of step 0: 20 draws in a row"):
        _positions(load=lambda position: load(4 if position == 8 else position))


def test_pixels_of_images_of_any_shape_are_rows_of_one_length():
    images = [_load(3), np.arange(20 * 90 * 3).reshape(20, 90, 3).astype(np.uint8)]
    pixels, sizes = packed_pixels(images, 2000)
    assert pixels.shape == (2, 3 * 2000)
    assert sizes.tolist() == [[7, 6], [20, 90]]
    for row, image in enumerate(images):
        height, width = sizes[row]
        found = pixels[row, : 3 * height * width].reshape(height, width, 3)
        np.testing.assert_array_equal(found, image)
        assert not pixels[row, 3 * height * width :].any()
