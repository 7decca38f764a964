"""Errors of counts by range and scene, against loops."""

import numpy as np
import pytest

from rankloop.training.count_errors import STARTS, count_range, error_metrics, errors_by_range


@pytest.mark.parametrize(
    ("count", "name"),
    [(0, "0-24"), (24, "0-24"), (25, "25-49"), (199.6, "100-199"), (3199, "1600-3199")],
)
def test_a_count_is_in_one_range(count, name):
    assert count_range(count) == name
    assert count_range(3200) == count_range(1e6) == "3200 or more"


def test_errors_are_those_of_loops():
    dice = np.random.default_rng(0)
    counts = np.round(np.exp(dice.uniform(0, 9, 60)))
    errors = dice.normal(0, 10, 60)
    scenes = [f"scene {number % 4}" if number < 20 else f"alone {number}" for number in range(60)]
    found = error_metrics(errors, counts, scenes)
    expected = {}
    for start, end in zip(STARTS, [*STARTS[1:], 1e9], strict=True):
        some = [abs(e) for e, c in zip(errors, counts, strict=True) if start <= c < end]
        if some:
            name = count_range(start)
            mean = sum(some) / len(some)
            expected[f"mae/{name}"] = mean
            if len(some) > 1:
                squares = sum((e - mean) ** 2 for e in some)
                expected[f"mae_spread/{name}"] = (squares / (len(some) - 1)) ** 0.5
    for number in range(4):
        some = [abs(errors[place]) for place in range(number, 20, 4)]
        expected[f"mae/scene {number}"] = sum(some) / len(some)
    assert found == pytest.approx(expected)
    groups = errors_by_range(errors, counts)
    assert list(groups) == [count_range(s) for s in STARTS if f"mae/{count_range(s)}" in found]
    assert sorted(np.concatenate(list(groups.values()))) == sorted(errors)
