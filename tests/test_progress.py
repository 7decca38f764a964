from itertools import pairwise

from rankloop.progress import paced


def told_at(moments: list[float]) -> list[float]:
    """Return at which of these moments a call was passed on; the first is the beginning."""
    times = iter(moments)
    told: list[float] = []
    call = paced(told.append, now=lambda: next(times))
    for moment in moments[1:]:
        call(moment)
    return told


def test_calls_are_passed_on_five_seconds_apart():
    assert told_at([0.0, 1.0, 4.9, 5.0, 9.0, 10.0, 30.0]) == [5.0, 10.0, 30.0]


def test_in_long_runs_calls_are_passed_on_a_twentieth_of_their_time_apart():
    told = told_at([float(second) for second in range(7200)])
    gaps = [after - before for before, after in pairwise(told)]
    assert min(gaps) == 5.0
    assert gaps[-1] > 300
    assert len(told) < 150
