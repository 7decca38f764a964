"""Certainty against pairs one by one, and what it is measured on."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.active.certainty import certainty, certainty_sets
from rankloop.active.items import Item
from rankloop.errors import ImageError
from rankloop.methods.configuration import make_config
from rankloop.methods.rankiqa import RANKIQA
from rankloop.methods.rankiqa_config import RankIQAConfig
from rankloop.randomness import rng
from rankloop.ranking.nested_crops import nested_crops
from rankloop.ranking.ranked_set import RankedSet
from rankloop.ranking.recipes import RECIPES

CONFIG = make_config(
    RankIQAConfig,
    {"backbone": "shallow", "input_size": 48, "distortions": "gaussian_noise gaussian_blur jpeg"},
)
LADDER = np.arange(5)[:, None]
CROSSED = np.array([[a, b] for a in (1, 2, 3) for b in (1, 2, 3)])


def _photo(seed: int, height: int = 60, width: int = 70) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    return np.kron(small, np.ones((height // 6, width // 7, 1), np.uint8))


def _naive(scores: list[float], sets: list[np.ndarray], sign: float) -> list[bool]:
    """One pair after the other."""
    right, start = [], 0
    for levels in sets:
        for i, j in itertools.product(range(len(levels)), repeat=2):
            one, other = levels[i].tolist(), levels[j].tolist()
            if one != other and all(a <= b for a, b in zip(one, other, strict=True)):
                right.append(sign * scores[start + i] > sign * scores[start + j])
        start += len(levels)
    return right


@given(st.integers(0, 2**31), st.booleans(), st.lists(st.booleans(), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_over_all_pairs_it_is_the_share_that_is_ordered_rightly(seed, higher, kinds):
    sets = [CROSSED if crossed else LADDER for crossed in kinds]
    # Few values, so that some are equal, which is no order.
    scores = np.random.default_rng(seed).integers(0, 4, sum(map(len, sets))).astype(float)
    right = _naive(scores.tolist(), sets, 1.0 if higher else -1.0)
    found = certainty(scores, sets, name="a", seed=0, higher_is_better=higher, pairs=len(right))
    assert found == pytest.approx(np.mean(right), abs=1e-12)


def test_of_more_pairs_k_are_drawn_by_name_and_seed():
    scores = np.random.default_rng(0).normal(size=50)
    sets = [LADDER] * 10
    right = np.array(_naive(scores.tolist(), sets, 1.0))
    drawn = rng(3, "pairs of certainty", "b").choice(100, 40, replace=False)
    options = {"seed": 3, "higher_is_better": True, "pairs": 40}
    assert certainty(scores, sets, name="b", **options) == right[drawn].mean()
    found = {certainty(scores, sets, name=name, **options) for name in "abcdefgh"}
    assert len(found) > 3


def test_too_few_pairs_or_scores_are_refused():
    with pytest.raises(ValueError, match="10 pairs of known order are fewer than 11"):
        certainty(np.zeros(5), [LADDER], name="a", seed=0, higher_is_better=True, pairs=11)
    with pytest.raises(ValueError, match="4 scores of 5 images"):
        certainty(np.zeros(4), [LADDER], name="a", seed=0, higher_is_better=True, pairs=10)


def test_a_hundred_pairs_take_fifty_images():
    item = Item("photo", (3,))
    sets = certainty_sets(item, _photo, RANKIQA, CONFIG, seed=0)
    assert [made.images.shape for made in sets] == [(5, 48, 48, 3)] * 10
    again = certainty_sets(item, _photo, RANKIQA, CONFIG, seed=0)
    for one, other in zip(sets, again, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
    others = certainty_sets(Item("other", (3,)), _photo, RANKIQA, CONFIG, seed=0)
    assert any((a.images != b.images).any() for a, b in zip(sets, others, strict=True))
    # More pairs are more of the same sets.
    more = certainty_sets(item, _photo, RANKIQA, CONFIG, seed=0, pairs=130)
    assert len(more) == 13
    np.testing.assert_array_equal(more[9].images, sets[9].images)


def test_released_levels_are_looked_at_in_one_place():
    images = {row: np.clip(_photo(0).astype(int) + 7 * row, 0, 255).astype(np.uint8)
              for row in (2, 4, 9)}  # fmt: skip
    item = Item("ref × noise", (2, 4, 9), (1, 2, 4))
    sets = certainty_sets(item, images.__getitem__, RANKIQA, CONFIG, seed=1, pairs=10)
    assert len(sets) == 4
    for made in sets:
        assert made.levels.tolist() == [[1], [2], [4]]
        places = [
            {
                (y, x)
                for y, x in itertools.product(range(13), range(23))
                if np.array_equal(images[row][y : y + 48, x : x + 48], square)
            }
            for row, square in zip((2, 4, 9), made.images, strict=True)
        ]
        assert set.intersection(*places)


def test_every_image_of_a_pair_is_looked_at():
    looked: list[int] = []

    def ranked_set(image: np.ndarray, random: np.random.Generator, config: object) -> RankedSet:
        looked.append(int(image[0, 0, 0]))
        return RANKIQA.ranked_set(image, random, config)

    images = {row: np.clip(_photo(0), 10, 240) for row in (3, 5)}
    images[3][0, 0], images[5][0, 0] = 3, 5
    method = replace(RANKIQA, ranked_set=ranked_set)
    for pairs, expected in ((10, [3, 5]), (100, [3, 5] * 5)):
        looked.clear()
        item = Item("a | b", (3, 5))
        certainty_sets(item, images.__getitem__, method, CONFIG, seed=0, pairs=pairs)
        assert looked == expected


@pytest.mark.parametrize("name", ["nested_crops", "blur_x_jpeg"])
def test_any_other_ranked_set_will_do(name: str):
    recipe = nested_crops if name == "nested_crops" else RECIPES[name]
    method = replace(RANKIQA, ranked_set=lambda image, random, config: recipe(image, random, 48))
    sets = certainty_sets(Item("a", (0,)), _photo, method, CONFIG, seed=0, pairs=60)
    scores = np.concatenate([-made.levels.sum(axis=1) for made in sets]).astype(float)
    levels = [made.levels for made in sets]
    perfect = certainty(scores, levels, name="a", seed=0, higher_is_better=True, pairs=60)
    assert perfect == 1.0
    wrong = certainty(scores, levels, name="a", seed=0, higher_is_better=False, pairs=60)
    assert wrong == 0.0


def test_images_that_make_no_set_are_refused():
    flat = np.full((60, 70, 3), 128, np.uint8)
    blur = CONFIG.model_copy(update={"distortions": ("gaussian_blur",)})
    with pytest.raises(ImageError, match="are the same image"):
        certainty_sets(Item("flat", (0,)), lambda row: flat, RANKIQA, blur, seed=0)
    with pytest.raises(ImageError, match="holds no square of 48"):
        certainty_sets(Item("a", (0,)), lambda row: flat[:40], RANKIQA, CONFIG, seed=0)
