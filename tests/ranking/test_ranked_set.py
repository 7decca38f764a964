import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rankloop.errors import DataError, ImageError
from rankloop.ranking.ranked_set import RankedSet, ranked_set_row, ranks_above

LEVELS = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.integers(0, 3)
)


@given(LEVELS)
def test_comparability_is_the_definition(levels: np.ndarray):
    above = ranks_above(levels)
    for i, first in enumerate(levels.tolist()):
        for j, second in enumerate(levels.tolist()):
            at_or_above = all(a <= b for a, b in zip(first, second, strict=True))
            assert above[i, j] == (at_or_above and first != second)


@given(LEVELS)
def test_it_is_a_strict_partial_order(levels: np.ndarray):
    above = ranks_above(levels)
    assert not above.diagonal().any()
    assert not (above & above.T).any()
    # Transitive: i above k above j means i above j.
    through = (above[:, :, None] & above[None, :, :]).any(axis=1)
    assert not (through & ~above).any()


@given(LEVELS, st.randoms(use_true_random=False))
def test_permuting_a_set_permutes_its_comparability(levels: np.ndarray, random):
    order = list(range(len(levels)))
    random.shuffle(order)
    np.testing.assert_array_equal(
        ranks_above(levels[order]), ranks_above(levels)[np.ix_(order, order)]
    )


def test_one_distortion_is_a_total_order():
    above = ranks_above(np.array([[2], [0], [1]]))
    assert above.tolist() == [[False, False, False], [True, False, True], [True, False, False]]


@pytest.mark.parametrize(
    ("images", "levels"),
    [
        (np.zeros((2, 3, 3, 3), np.uint8), np.zeros((3, 1), int)),
        (np.zeros((2, 3, 3, 3), np.uint8), np.zeros(2, int)),
        (np.zeros((2, 3, 3, 3), np.uint8), np.zeros((2, 1))),
        (np.zeros((0, 3, 3, 3), np.uint8), np.zeros((0, 1), int)),
        (np.zeros((2, 3, 3), np.uint8), np.zeros((2, 1), int)),
        (np.zeros((2, 3, 3, 3)), np.zeros((2, 1), int)),
    ],
)
def test_other_shapes_are_refused(images: np.ndarray, levels: np.ndarray):
    with pytest.raises(ValueError, match=r"must be|give"):
        RankedSet(images, levels)


# Rows of a stream


def _recipe(image: np.ndarray, generator: np.random.Generator, size: int) -> RankedSet:
    if image[0, 0, 0] == 2:
        raise ImageError("too small")
    images = np.full((2, size, size, 3), image[0, 0, 0])
    images[1] += generator.integers(100, dtype=np.uint8)
    return RankedSet(images, np.array([[0], [1]]))


def _load(index: int) -> np.ndarray:
    if index == 1:
        raise ImageError("gone")
    return np.full((4, 4, 3), index, np.uint8)


def test_a_row_depends_on_its_place_only():
    rows = [
        [ranked_set_row(_load, 6, _recipe, 5, seed=4, step=s, item=i) for i in range(3)]
        for s in range(4)
    ]
    again = ranked_set_row(_load, 6, _recipe, 5, seed=4, step=2, item=1)
    np.testing.assert_array_equal(again.images, rows[2][1].images)
    assert len({row.images.tobytes() for step in rows for row in step}) > 8
    other = ranked_set_row(_load, 6, _recipe, 5, seed=5, step=2, item=1)
    assert (other.images != again.images).any()


def test_unusable_images_are_reported_and_replaced():
    skipped: list[tuple[int, str]] = []
    used = set()
    for item in range(60):
        row = ranked_set_row(
            _load, 6, _recipe, 5, seed=0, step=0, item=item,
            on_skip=lambda i, reason: skipped.append((i, reason)),
        )  # fmt: skip
        used.add(int(row.images[0, 0, 0, 0]))
    assert used == {0, 3, 4, 5}
    assert set(skipped) == {(1, "gone"), (2, "too small")}


def test_nothing_but_unusable_images():
    with pytest.raises(DataError, match="20 draws in a row"):
        ranked_set_row(lambda i: _load(1), 3, _recipe, 5, seed=0, step=0, item=0)
    with pytest.raises(DataError, match="at least one"):
        ranked_set_row(_load, 0, _recipe, 5, seed=0, step=0, item=0)
