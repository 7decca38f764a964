import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from rankloop.metrics import (
    UNDEFINED,
    compared_value,
    higher_is_better,
    mae,
    metric_title,
    pair_accuracy,
    plcc,
    rmse,
    shown_value,
    srocc,
    turned,
)

VALUES = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=30
).map(lambda pairs: (np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])))


def _slow_ranks(values: list[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def _slow_correlation(first: list[float], second: list[float]) -> float:
    n = len(first)
    mean_first, mean_second = sum(first) / n, sum(second) / n
    covariance = sum(
        (a - mean_first) * (b - mean_second) for a, b in zip(first, second, strict=True)
    )
    variance_first = sum((a - mean_first) ** 2 for a in first)
    variance_second = sum((b - mean_second) ** 2 for b in second)
    return covariance / math.sqrt(variance_first * variance_second)


@given(VALUES)
@settings(deadline=None)
def test_correlations_match_scipy_and_loops(values: tuple[np.ndarray, np.ndarray]):
    first, second = values
    assume(len(set(first.tolist())) > 1 and len(set(second.tolist())) > 1)
    spearman = srocc(first, second, labels_higher_is_better=True)
    pearson = plcc(first, second, labels_higher_is_better=True)
    assert spearman == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert pearson == pytest.approx(stats.pearsonr(first, second).statistic, abs=1e-12)
    a, b = first.tolist(), second.tolist()
    assert spearman == pytest.approx(_slow_correlation(_slow_ranks(a), _slow_ranks(b)), abs=1e-12)
    assert pearson == pytest.approx(_slow_correlation(a, b), abs=1e-12)


@pytest.mark.parametrize("metric", [srocc, plcc])
@pytest.mark.parametrize(
    ("labels", "labels_higher", "scores_higher", "expected"),
    [
        ([1, 2, 3], True, True, 1.0),  # quality scores against MOS
        ([3, 2, 1], False, True, 1.0),  # quality scores against DMOS or blur rank
        ([1, 2, 3], False, False, 1.0),  # blurriness scores against blur rank
        ([3, 2, 1], True, False, 1.0),  # blurriness scores against MOS
        ([3, 2, 1], True, True, -1.0),
        ([1, 2, 3], False, True, -1.0),
        ([3, 2, 1], False, False, -1.0),
        ([1, 2, 3], True, False, -1.0),
    ],
)
def test_one_is_full_agreement_whatever_the_directions(
    metric: Callable[..., float],
    labels: list[int],
    labels_higher: bool,
    scores_higher: bool,
    expected: float,
):
    value = metric(
        [10, 20, 30],
        labels,
        labels_higher_is_better=labels_higher,
        scores_higher_is_better=scores_higher,
    )
    assert value == pytest.approx(expected, abs=1e-15)


def test_srocc_sees_only_order_and_plcc_does_not():
    scores = np.linspace(0.1, 5, 20)
    assert srocc(np.exp(scores), scores, labels_higher_is_better=True) == pytest.approx(1.0)
    assert plcc(np.exp(scores), scores, labels_higher_is_better=True) < 0.9


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1.0, 1e300])
def test_correlations_at_any_scale_stay_in_range(scale: float):
    values = np.array([1.0, 2.0, 4.0, 3.0])
    assert plcc(values * scale, values, labels_higher_is_better=True) == pytest.approx(1.0)
    assert -1.0 <= plcc(values * scale, values, labels_higher_is_better=True) <= 1.0


@pytest.mark.parametrize("metric", [srocc, plcc])
@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([], []),
        ([1.0], [2.0]),
        ([0.1] * 7, range(7)),
        (range(7), [0.1] * 7),
        ([0.3] * 3, [0.1] * 3),
    ],
)
def test_undefined_correlations_are_nan_without_a_warning(
    metric: Callable[..., float], scores: list[float], labels: list[float]
):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric(scores, list(labels), labels_higher_is_better=True))


def test_errors_match_loops():
    generator = np.random.default_rng(3)
    scores, labels = generator.normal(100, 30, 50), generator.normal(90, 40, 50)
    differences = [abs(a - b) for a, b in zip(scores, labels, strict=True)]
    assert mae(scores, labels) == pytest.approx(sum(differences) / 50, rel=1e-12)
    assert rmse(scores, labels) == pytest.approx(
        math.sqrt(sum(d * d for d in differences) / 50), rel=1e-12
    )
    assert mae([1], [4]) == rmse([1], [4]) == 3.0


def test_errors_of_small_integers_do_not_wrap_around():
    assert mae(np.array([1], np.uint8), np.array([3], np.uint8)) == 2.0
    assert rmse(np.array([1], np.uint8), np.array([3], np.uint8)) == 2.0


@given(VALUES)
@settings(deadline=None)
def test_pair_accuracy_matches_a_loop(values: tuple[np.ndarray, np.ndarray]):
    better, worse = values
    points = 0.0
    for b, w in zip(better, worse, strict=True):
        points += 1.0 if b > w else 0.5 if b == w else 0.0
    assert pair_accuracy(better, worse) == pytest.approx(points / len(better))
    assert pair_accuracy(better, worse) + pair_accuracy(worse, better) == pytest.approx(1.0)


def test_nothing_gives_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(mae([], []))
        assert math.isnan(rmse([], []))
        assert math.isnan(pair_accuracy([], []))


@pytest.mark.parametrize(
    "metric",
    [
        lambda a, b: srocc(a, b, labels_higher_is_better=True),
        lambda a, b: plcc(a, b, labels_higher_is_better=False),
        mae,
        rmse,
        pair_accuracy,
    ],
)
def test_bad_values_and_shapes_are_refused(metric: Callable[..., float]):
    with pytest.raises(ValueError, match=r"2 of 3 .*scores are NaN or infinite"):
        metric([1.0, math.nan, math.inf], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"1 of 3 .*(labels|worse_scores) are NaN"):
        metric([1.0, 2.0, 3.0], [1.0, 2.0, math.nan])
    with pytest.raises(ValueError, match="give two arrays of one shape"):
        metric([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="give two arrays of one shape"):
        metric([[1.0, 2.0]], [[1.0, 2.0]])


def test_errors_are_better_when_lower_and_turned_where_values_are_compared():
    assert all(higher_is_better(name) for name in ("srocc", "plcc/blur", "pair_accuracy"))
    assert not any(higher_is_better(name) for name in ("mae", "mae/0-24", "mae_spread/0", "rmse"))
    assert compared_value("mae", {"mae": 7.0, "srocc": 0.1}) == -7.0
    assert compared_value("srocc", {"mae": 7.0, "srocc": 0.1}) == 0.1
    assert compared_value("mae", {"mae": float("nan")}) == compared_value("mae", {}) == UNDEFINED
    assert shown_value("mae", -7.0) == "7.0000"
    assert shown_value("mae", UNDEFINED) == "undefined"
    assert turned("mae", 7.0) == -7.0
    assert turned("srocc", 0.5) == 0.5
    assert turned("mae", turned("mae", 3.0)) == 3.0
    assert turned("mae", 1e6) > UNDEFINED < turned("srocc", -1.0)
    assert [metric_title(name) for name in ("mae", "srocc", "pair_accuracy")] == [
        "MAE",
        "SROCC",
        "pair accuracy",
    ]
