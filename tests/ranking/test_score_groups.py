"""Images grouped by score."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.errors import DataError
from rankloop.ranking.score_groups import equal_score_groups, score_intervals

SCORES = np.array([0.0, 10.0, 1.0, 9.0, 5.5, 0.2])


def test_intervals_divide_the_range_evenly_and_the_highest_score_is_in_the_last():
    found = score_intervals(SCORES, 5)
    # 0 to 2, 2 to 4 (empty, as the lower of its two neighbours), 4 to 6, 6 to 8 (empty), 8 to 10.
    assert [some.tolist() for some in found] == [[0, 2, 5], [0, 2, 5], [4], [4], [1, 3]]


@settings(deadline=None)
@given(scores=st.lists(st.floats(-50, 150), min_size=1, max_size=40), count=st.integers(1, 20))
def test_every_interval_has_images_and_every_image_an_interval(scores, count):
    found = score_intervals(np.array(scores), count)
    assert len(found) == count
    assert all(len(some) for some in found)
    assert set(np.concatenate(found).tolist()) == set(range(len(scores)))
    highest = [max(scores[i] for i in some) for some in found]
    assert highest == sorted(highest)


def test_equal_groups_hold_as_many_different_scores():
    found = equal_score_groups(SCORES, 2)
    # In hundredths of the range: 0, 2, 10 | 55, 90, 100.
    assert [[score.tolist() for score in group] for group in found] == [
        [[0], [5], [2]],
        [[4], [3], [1]],
    ]
    with pytest.raises(DataError, match="7 groups of scores are more than the 6 different"):
        equal_score_groups(SCORES, 7)


def test_scores_that_round_alike_are_one():
    found = equal_score_groups(np.array([0.0, 100.0, 50.1, 49.9, 50.2]), 3)
    assert [[score.tolist() for score in group] for group in found] == [[[0]], [[2, 3, 4]], [[1]]]


def test_without_labels_there_are_no_groups():
    with pytest.raises(DataError, match="there are no labelled images"):
        score_intervals(np.empty(0), 3)
