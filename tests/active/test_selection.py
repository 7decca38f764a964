import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankloop.active.selection import diverse_items, least_certain, random_items

NAMES = [f"item {i}" for i in range(30)]


def test_random_items_depend_on_the_set_seed_and_cycle():
    drawn = random_items(NAMES, 8, seed=1, cycle=2)
    assert random_items(NAMES[::-1], 8, seed=1, cycle=2) == drawn
    assert len(set(drawn)) == 8
    assert random_items(NAMES, 8, seed=1, cycle=3) != drawn
    assert random_items(NAMES, 8, seed=2, cycle=2) != drawn
    assert sorted(random_items(NAMES, 99, seed=1, cycle=2)) == sorted(NAMES)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 30))
def test_no_item_that_is_left_is_less_certain_than_one_that_is_chosen(values, count):
    certainties = {NAMES[i]: value / 4 for i, value in enumerate(values)}
    chosen = least_certain(certainties, count, seed=0, cycle=1)
    assert len(chosen) == len(set(chosen)) == min(count, len(values))
    assert [certainties[name] for name in chosen] == sorted(certainties.values())[:count]


def test_a_draw_decides_among_equals_whatever_their_order():
    equal = dict.fromkeys(NAMES, 0.5)
    chosen = least_certain(equal, 6, seed=0, cycle=1)
    assert least_certain(dict.fromkeys(NAMES[::-1], 0.5), 6, seed=0, cycle=1) == chosen
    assert least_certain(equal, 6, seed=0, cycle=2) != chosen
    assert chosen != sorted(chosen)


def _k_centre(places: list[np.ndarray], asked: list[np.ndarray], count: int) -> list[int]:
    """Greedily, by loops; from the first, if there is no centre yet."""
    chosen: list[int] = []
    while len(chosen) < min(count, len(places)):
        centres = [*asked, *(places[j] for j in chosen)]
        distances = [
            -1.0
            if i in chosen
            else min((float(np.linalg.norm(place - centre)) for centre in centres), default=0.0)
            for i, place in enumerate(places)
        ]
        chosen.append(int(np.argmax(distances)))
    return chosen


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("before", [0, 4])
def test_diverse_items_are_those_of_loops(count, before):
    generator = np.random.default_rng(count)
    asked = list(generator.normal(size=(before, 5)))
    certainties = {name: float(generator.random()) for name in NAMES}
    features = {name: generator.normal(size=5) for name in NAMES}
    candidates = sorted(certainties, key=certainties.__getitem__)[: 4 * count]
    places = [features[name] for name in candidates]
    expected = [candidates[i] for i in _k_centre(places, asked, count)]
    assert diverse_items(certainties, features, asked, count, seed=0, cycle=1) == expected


def test_near_duplicates_are_not_asked_about_twice():
    certainties = {f"burst {i}": 0.1 + i / 1000 for i in range(10)}
    certainties |= {f"other {i}": 0.3 + i / 1000 for i in range(6)}
    generator = np.random.default_rng(0)
    features = {name: generator.normal(0, 0.01, 4) for name in certainties}
    for i in range(6):
        features[f"other {i}"] = generator.normal(0, 5, 4)
    assert all(name.startswith("burst") for name in least_certain(certainties, 4, seed=0, cycle=0))
    chosen = diverse_items(certainties, features, [], 4, seed=0, cycle=0)
    assert sum(name.startswith("burst") for name in chosen) == 1
    # Nor in the cycle after one that asked about one of them.
    left = {name: value for name, value in certainties.items() if name not in chosen}
    asked = [features[name] for name in chosen]
    again = diverse_items(left, features, asked, 3, seed=0, cycle=1)
    assert not any(name.startswith("burst") for name in again)


def test_many_candidates_are_divided(monkeypatch):
    monkeypatch.setattr("rankloop.active.selection.MOST", 10)
    generator = np.random.default_rng(1)
    certainties = {f"{i:03d}": float(generator.random()) for i in range(200)}
    features = {name: generator.normal(size=3) for name in certainties}
    asked = list(generator.normal(size=(30, 3)))
    chosen = diverse_items(certainties, features, asked, 40, seed=0, cycle=1)
    assert len(set(chosen)) == 40
    assert set(chosen) <= set(least_certain(certainties, 160, seed=0, cycle=1))
    assert diverse_items(certainties, features, asked, 40, seed=0, cycle=1) == chosen
    assert diverse_items(certainties, features, asked, 40, seed=0, cycle=2) != chosen
    few = {name: features[name] for name in chosen[:5]}
    found = diverse_items(certainties, few, asked, 40, seed=0, cycle=1)
    assert set(found) == set(few)


def test_an_empty_pool_gives_nothing():
    assert random_items([], 3, seed=0, cycle=1) == []
    assert least_certain({}, 3, seed=0, cycle=1) == []
    assert diverse_items({}, {}, [], 3, seed=0, cycle=1) == []
