import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rankloop.distortions.blur import BLUR_KINDS, blur
from rankloop.errors import ConfigError, DataError, ImageError
from rankloop.randomness import rng
from rankloop.ranking.quadruplets import (
    BlurRange,
    blurred_pair,
    draw_blur,
    labelled_pair,
    quadruplet,
)

N = 7
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 16, 12, 3), np.uint8)
ALL_BLURS = BlurRange(BLUR_KINDS, 0.5, 3.0)


def _load(index: int) -> np.ndarray:
    assert 0 <= index < N
    return IMAGES[index]


def _load_except(*unreadable: int) -> Callable[[int], np.ndarray]:
    def load(index: int) -> np.ndarray:
        if index in unreadable:
            raise ImageError(f"image {index} vanished")
        return IMAGES[index]

    return load


def _tiny(index: int) -> np.ndarray:
    """One pixel that says which image it is."""
    return np.full((1, 1, 3), index, np.uint8)


def _which(image: np.ndarray) -> int:
    (found,) = [i for i in range(N) if (IMAGES[i] == image).all()]
    return found


# Blur ranges


@pytest.mark.parametrize(
    ("kinds", "low", "high"),
    [
        ((), 1.0, 2.0),
        (("box",), 1.0, 2.0),
        (("gaussian",), 0.0, 2.0),
        (("gaussian",), -1.0, 2.0),
        (("gaussian",), 3.0, 2.0),
        (("gaussian",), 1.0, math.inf),
        (("gaussian",), math.nan, 2.0),
    ],
)
def test_impossible_blur_ranges_are_refused(kinds: tuple, low: float, high: float):
    with pytest.raises(ConfigError):
        BlurRange(kinds, low, high)


def test_blurs_are_uniform_in_kind_strength_and_angle():
    draws = [draw_blur(rng(0, i), ALL_BLURS) for i in range(3000)]
    kinds = Counter(kind for kind, _, _ in draws)
    assert stats.chisquare([kinds[kind] for kind in BLUR_KINDS]).pvalue > 1e-3
    strengths = np.array([strength for _, strength, _ in draws])
    angles = np.array([angle for _, _, angle in draws])
    assert stats.kstest(strengths, stats.uniform(0.5, 2.5).cdf).pvalue > 1e-3
    assert stats.kstest(angles, stats.uniform(0.0, math.pi).cdf).pvalue > 1e-3
    assert strengths.min() >= 0.5
    assert strengths.max() <= 3.0
    assert draw_blur(rng(0), BlurRange(("motion",), 2.0, 2.0))[:2] == ("motion", 2.0)


# Quadruplets


@given(st.integers(0, 2**32), st.integers(0, 10**6), st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_quadruplets_are_two_images_and_both_blurred_alike(seed: int, step: int, item: int):
    before = IMAGES.copy()
    row = quadruplet(_load, N, ALL_BLURS, seed=seed, step=step, item=item)
    assert row.dtype == np.uint8
    assert row.shape == (4, 16, 12, 3)
    assert _which(row[0]) != _which(row[1])
    # The kernel, recovered by drawing as the specification says: after two images of n and n - 1.
    generator = rng(seed, "quadruplet", step, item, 0)
    generator.integers(N), generator.integers(N - 1)
    kernel = draw_blur(generator, ALL_BLURS)
    np.testing.assert_array_equal(row[2], blur(row[0], *kernel))
    np.testing.assert_array_equal(row[3], blur(row[1], *kernel))
    assert (row[2] != row[0]).any()
    np.testing.assert_array_equal(IMAGES, before)
    again = quadruplet(_load, N, ALL_BLURS, seed=seed, step=step, item=item)
    np.testing.assert_array_equal(again, row)


def test_one_kernel_explains_both_blurred_images_and_no_other_does():
    # Without a word on how it is drawn: of many candidate strengths, both images fit best at one.
    only_gaussian = BlurRange(("gaussian",), 0.6, 3.0)
    candidates = np.arange(0.6, 3.0, 0.05)
    for item in range(5):
        row = quadruplet(_load, N, only_gaussian, seed=1, step=0, item=item)
        errors = [
            [
                np.abs(blur(row[i], "gaussian", s).astype(int) - row[i + 2]).mean()
                for s in candidates
            ]
            for i in (0, 1)
        ]
        best = [candidates[int(np.argmin(error))] for error in errors]
        assert abs(best[0] - best[1]) <= 0.051
        assert all(min(error) < 1.0 < max(error) for error in errors)


def test_every_ordered_pair_of_images_is_as_likely():
    weak = BlurRange(("gaussian",), 0.1, 0.1)
    rows = [quadruplet(_tiny, 4, weak, seed=0, step=i, item=0) for i in range(2400)]
    pairs = Counter((int(row[0, 0, 0, 0]), int(row[1, 0, 0, 0])) for row in rows)
    assert len(pairs) == 12
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3


def test_rows_differ_by_seed_step_and_item_and_by_nothing_else():
    def row(seed: int, step: int, item: int) -> bytes:
        return quadruplet(_load, N, ALL_BLURS, seed=seed, step=step, item=item).tobytes()

    places = [(seed, step, item) for seed in range(2) for step in range(4) for item in range(4)]
    forwards = {place: row(*place) for place in places}
    backwards = {place: row(*place) for place in reversed(places[::3])}
    assert all(forwards[place] == backwards[place] for place in backwards)
    assert len(set(forwards.values())) == len(places)


def test_numpy_integers_name_the_same_row():
    def rows(seed: int, step: int, item: int) -> list[np.ndarray]:
        place = {"seed": seed, "step": step, "item": item}
        return [
            quadruplet(_load, N, ALL_BLURS, **place),
            blurred_pair(_load, N, ALL_BLURS, **place),
            labelled_pair(_load, BETTER, WORSE, seed=seed, index=step)[0],
        ]

    for plain, numpy in zip(rows(3, 14, 15), rows(*np.array([3, 14, 15])), strict=True):
        np.testing.assert_array_equal(plain, numpy)


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="needs 2 different images and there are 1"):
        quadruplet(_load, 1, ALL_BLURS, seed=0, step=0, item=0)
    with pytest.raises(DataError, match="needs 1 different images and there are 0"):
        blurred_pair(_load, 0, ALL_BLURS, seed=0, step=0, item=0)


@pytest.mark.parametrize("make", [quadruplet, blurred_pair])
def test_unreadable_images_are_replaced_and_reported(make: Callable[..., np.ndarray]):
    skipped: list[tuple[int, str]] = []
    changed = 0
    for item in range(40):
        place = {"seed": 5, "step": 2, "item": item}
        seen = len(skipped)
        row = make(
            _load_except(3, 4), N, ALL_BLURS, **place, on_skip=lambda *what: skipped.append(what)
        )
        assert not {_which(image) for image in row[: len(row) // 2]} & {3, 4}
        np.testing.assert_array_equal(row, make(_load_except(3, 4), N, ALL_BLURS, **place))
        # A row without an unreadable image is the row that it was.
        same = (row == make(_load, N, ALL_BLURS, **place)).all()
        assert same == (len(skipped) == seen)
        changed += not same
    assert 5 < changed < 40
    assert set(skipped) == {(3, "image 3 vanished"), (4, "image 4 vanished")}


@pytest.mark.parametrize("make", [quadruplet, blurred_pair])
def test_it_gives_up_after_20_draws(make: Callable[..., np.ndarray]):
    skipped: list[int] = []
    with pytest.raises(
        DataError, match=r"of step 0, item 0: 20 draws in a row.*image \d vanished"
    ) as caught:
        make(
            _load_except(*range(N)),
            N,
            ALL_BLURS,
            seed=0,
            step=0,
            item=0,
            on_skip=lambda index, _: skipped.append(index),
        )
    assert not isinstance(caught.value, ImageError)
    assert len(skipped) == 20


# Blurred pairs


@given(st.integers(0, 2**32), st.integers(0, 10**6), st.integers(0, 500))
@settings(max_examples=40, deadline=None)
def test_blurred_pairs_are_an_image_and_the_same_blurred(seed: int, step: int, item: int):
    row = blurred_pair(_load, N, ALL_BLURS, seed=seed, step=step, item=item)
    assert row.dtype == np.uint8
    assert row.shape == (2, 16, 12, 3)
    generator = rng(seed, "blurred pair", step, item, 0)
    assert _which(row[0]) == generator.integers(N)
    np.testing.assert_array_equal(row[1], blur(row[0], *draw_blur(generator, ALL_BLURS)))
    assert (row[1] != row[0]).any()


# Labelled pairs

BETTER = np.array([0, 2, 4, 6, 1])
WORSE = np.array([1, 3, 5, 0, 2])


def _read(row: np.ndarray, delta: int) -> tuple[int, int]:
    """(better, worse) as the row and its label say."""
    first, second = (_which(image) for image in row)
    return (second, first) if delta == -1 else (first, second)


@given(st.integers(0, 2**32), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_every_epoch_visits_every_pair_once_and_names_the_better(seed: int, epoch: int):
    start = epoch * len(BETTER)
    rows = [
        labelled_pair(_load, BETTER, WORSE, seed=seed, index=start + i) for i in range(len(BETTER))
    ]
    assert all(row.shape == (2, 16, 12, 3) and row.dtype == np.uint8 for row, _ in rows)
    assert all(delta in (-1, 1) for _, delta in rows)
    read = sorted(_read(row, delta) for row, delta in rows)
    assert read == sorted(zip(BETTER.tolist(), WORSE.tolist(), strict=True))


def test_epochs_have_orders_of_their_own_and_jumping_about_changes_nothing():
    better, worse = np.arange(50), np.arange(50, 100)

    def pair(index: int, seed: int = 0) -> int:
        row, _ = labelled_pair(_tiny, better, worse, seed=seed, index=index)
        return int(row[:, 0, 0, 0].min())

    first, second, third = ([pair(e * 50 + i) for i in range(50)] for e in range(3))
    assert sorted(first) == sorted(second) == sorted(third) == list(range(50))
    assert len({tuple(first), tuple(second), tuple(third)}) == 3
    assert [pair(i, seed=1) for i in range(50)] != first
    for index in (120, 3, 77, 149, 0):
        assert pair(index) == (first + second + third)[index]


def test_delta_is_balanced_and_minus_one_where_the_first_is_the_worse():
    better, worse = np.array([10]), np.array([20])
    deltas = []
    for index in range(1000):
        row, delta = labelled_pair(_tiny, better, worse, seed=0, index=index)
        assert row[:, 0, 0, 0].tolist() == ([20, 10] if delta == -1 else [10, 20])
        deltas.append(delta)
    assert stats.binomtest(deltas.count(1), 1000).pvalue > 1e-3
    # Neither alternating nor fixed by the pair.
    assert 400 < sum(a != b for a, b in itertools.pairwise(deltas)) < 600


def test_an_unreadable_pair_gives_way_to_the_next_of_its_epoch():
    clean = [_read(*labelled_pair(_load, BETTER, WORSE, seed=2, index=i)) for i in range(5)]
    skipped: list[tuple[int, str]] = []
    load = _load_except(3)  # in the pair (2, 3) only
    made = [
        _read(
            *labelled_pair(
                load, BETTER, WORSE, seed=2, index=i, on_skip=lambda *what: skipped.append(what)
            )
        )
        for i in range(5)
    ]
    position = clean.index((2, 3))
    expected = clean.copy()
    expected[position] = clean[(position + 1) % 5]
    assert made == expected
    assert skipped == [(3, "image 3 vanished")]


def test_labelled_pairs_that_cannot_be_made_are_refused():
    with pytest.raises(DataError, match=r"of row 0: 5 draws in a row.*vanished"):
        labelled_pair(_load_except(*range(N)), BETTER, WORSE, seed=0, index=0)
    none = np.empty(0, np.int64)
    with pytest.raises(DataError, match="there are no labelled pairs"):
        labelled_pair(_load, none, none, seed=0, index=0)
    with pytest.raises(ValueError, match="5 better and 4 worse"):
        labelled_pair(_load, BETTER, WORSE[:4], seed=0, index=0)
