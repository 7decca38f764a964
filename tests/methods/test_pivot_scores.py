"""Quantisation of scores against a slow reference and against k-means in one dimension."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from rankloop.errors import DataError
from rankloop.methods.pivot_scores import lloyd_max_pivot_scores, uniform_pivot_scores


def _scores(seed: int, n: int = 300) -> np.ndarray:
    """Opinions as they are: many in the middle, few at the ends."""
    return np.clip(np.random.default_rng(seed).normal(55, 18, n), 0, 100).round(2)


def _slow(scores: np.ndarray, count: int) -> np.ndarray:
    """Lloyd's two steps by loops, until the cells stay the same."""
    levels = np.linspace(scores.min(), scores.max(), count)
    before = None
    while True:
        cells: list[list[float]] = [[] for _ in levels]
        for score in scores:
            cells[int(np.argmin(np.abs(levels - score)))].append(score)
        if cells == before:
            return levels
        before = cells
        filled = [k for k, cell in enumerate(cells) if cell]
        means = [np.mean(cells[k]) for k in filled]
        levels = np.interp(np.arange(count), filled, means)


@pytest.mark.parametrize("count", [2, 5, 11, 40])
def test_levels_are_the_fixed_point_of_lloyds_two_steps(count):
    scores = _scores(0)
    found = lloyd_max_pivot_scores(scores, count)
    np.testing.assert_allclose(found, _slow(scores, count), rtol=0, atol=1e-9)


@pytest.mark.parametrize("count", [2, 5, 9])
def test_levels_are_those_of_k_means_begun_alike(count):
    scores = _scores(1, 2000)
    begun = np.linspace(scores.min(), scores.max(), count)[:, None]
    fitted = KMeans(count, init=begun, n_init=1, tol=0, max_iter=10_000).fit(scores[:, None])
    found = lloyd_max_pivot_scores(scores, count)
    np.testing.assert_allclose(found, np.sort(fitted.cluster_centers_[:, 0]), atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(2, 30),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
    shift=st.sampled_from([0.0, -50.0, 1e4]),
    pinned=st.booleans(),
)
def test_levels_ascend_in_the_range_and_quantise_better_than_even_ones(
    seed, count, scale, shift, pinned
):
    scores = shift + scale * _scores(seed, 60)
    levels = lloyd_max_pivot_scores(scores, count, pinned_ends=pinned)
    assert levels.shape == (count,)
    assert (np.diff(levels) > 0).all()
    assert levels[0] >= scores.min() - 1e-9 * (abs(shift) + scale)
    assert levels[-1] <= scores.max() + 1e-9 * (abs(shift) + scale)
    if pinned:
        assert (levels[0], levels[-1]) == (scores.min(), scores.max())

    def error(of: np.ndarray) -> float:
        return float(np.square(np.abs(scores[:, None] - of).min(axis=1)).sum())

    even = error(uniform_pivot_scores(scores, count))
    assert error(levels) <= even * (1 + 1e-9) + 1e-12 * scale**2


def test_even_levels_go_from_end_to_end():
    found = uniform_pivot_scores(np.array([100.0, 0.0, 7.0]), 11)
    np.testing.assert_allclose(found, np.arange(0, 101, 10))


def test_more_pivots_than_different_scores_are_refused():
    scores = np.array([1.0, 2.0, 2.0, 3.0])
    with pytest.raises(
        DataError, match=r"4 pivots are more than the 3 different .* give at most 3"
    ):
        lloyd_max_pivot_scores(scores, 4)
    assert lloyd_max_pivot_scores(scores, 3).tolist() == [1.0, 2.0, 3.0]
