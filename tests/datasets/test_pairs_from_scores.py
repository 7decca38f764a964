from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rankloop.datasets.pairs_from_scores import draw_pairs

SCORES = st.lists(st.integers(0, 4).map(float), max_size=12)


@given(SCORES, st.integers(0, 80), st.booleans(), st.integers(0, 3))
def test_pairs_are_different_rightly_ordered_and_as_many_as_there_are(
    scores: list[float], number: int, higher_is_better: bool, seed: int
) -> None:
    names = [str(i) for i in range(len(scores))]
    pairs = draw_pairs(
        names,
        scores,
        number,
        higher_is_better=higher_is_better,
        random=np.random.default_rng(seed),
    )
    possible = {
        (a, b)
        for a in names
        for b in names
        if (scores[int(a)] > scores[int(b)]) == higher_is_better
        and scores[int(a)] != scores[int(b)]
    }
    assert set(pairs) <= possible
    assert len(set(pairs)) == len(pairs) == min(number, len(possible))


def test_every_pair_is_equally_likely() -> None:
    random = np.random.default_rng(0)
    drawn = Counter(
        pair
        for _ in range(3000)
        for pair in draw_pairs("abcd", [1, 2, 2, 3], 1, higher_is_better=True, random=random)
    )
    assert len(drawn) == 5
    assert max(abs(n - 600) for n in drawn.values()) < 120
