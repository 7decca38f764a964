from collections import Counter

import numpy as np
import pytest

from rankloop.errors import DataError, ImageError
from rankloop.ranking.labelled_images import labelled_sub_image

ROWS = np.array([3, 5, 8, 13])


def _load(row: int) -> np.ndarray:
    # Every pixel tells the image and its place.
    y, x = np.mgrid[:20, :30]
    return np.stack([np.full_like(x, row), x, y], axis=2).astype(np.uint8)


def test_every_epoch_takes_each_image_once_and_moves_the_sub_images():
    found = [labelled_sub_image(_load, ROWS, 12, seed=1, index=i) for i in range(40)]
    orders = set()
    for epoch in range(10):
        rows = [row for _, row in found[4 * epoch : 4 * epoch + 4]]
        assert sorted(rows) == ROWS.tolist()
        orders.add(tuple(rows))
    assert len(orders) > 3
    corners = Counter()
    for image, row in found:
        assert image.shape == (12, 12, 3)
        left, top = int(image[0, 0, 1]), int(image[0, 0, 2])
        np.testing.assert_array_equal(image, _load(row)[top : top + 12, left : left + 12])
        corners[left, top] += 1
    assert len(corners) > 30
    again, row = labelled_sub_image(_load, ROWS, 12, seed=1, index=17)
    np.testing.assert_array_equal(again, found[17][0])
    assert row == found[17][1]


def test_images_that_cannot_be_used_are_reported_and_replaced_by_the_next():
    def load(row: int) -> np.ndarray:
        if row == 5:
            raise ImageError("gone")
        return _load(row)[: 10 if row == 8 else 20]

    skipped: list[tuple[int, str]] = []
    rows = [
        labelled_sub_image(
            load, ROWS, 12, seed=0, index=i, on_skip=lambda *entry: skipped.append(entry)
        )[1]
        for i in range(4)
    ]
    assert set(rows) == {3, 13}
    reasons = dict(skipped)
    assert set(reasons) == {5, 8}
    assert "holds no square of 12" in reasons[8]


def test_without_images_or_with_unusable_ones_only_it_ends():
    with pytest.raises(DataError, match="no labelled images"):
        labelled_sub_image(_load, ROWS[:0], 12, seed=0, index=0)
    with pytest.raises(DataError, match="4 draws in a row"):
        labelled_sub_image(_load, ROWS, 25, seed=0, index=0)
