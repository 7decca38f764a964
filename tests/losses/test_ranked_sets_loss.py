"""All pairs of ranked sets at once, against one pair after the other through two branches."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.losses.ranked_sets import ranked_sets_loss
from rankloop.ranking.ranked_set import ranks_above

LADDER = [[level] for level in range(5)]
CROSSED = [[a, b] for a in (1, 2, 3) for b in (1, 2, 3)]
INCOMPARABLE = [[0, 2], [1, 1], [2, 0]]


def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    return layers.double()


def _naive(network, images, levels, margin: float, sign: float) -> torch.Tensor:
    """A Siamese network: both images of every pair go through it, for that pair alone."""
    total = torch.zeros((), dtype=torch.float64)
    for versions, own in zip(images, levels, strict=True):
        for i, j in itertools.permutations(range(len(own)), 2):
            above = all(a <= b for a, b in zip(own[i], own[j], strict=True)) and own[i] != own[j]
            if above:
                better, worse = network(versions[i : i + 1]), network(versions[j : j + 1])
                total = total + torch.clamp(margin - sign * (better - worse), min=0).sum()
    return total / (len(images) * len(levels[0]))


@pytest.mark.parametrize("levels", [LADDER, CROSSED, INCOMPARABLE, [[1], [1], [0]]])
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_value_and_gradient_are_those_of_all_pairs_through_two_branches(levels, higher_is_better):
    sets, margin = 3, 0.3
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(sets, len(levels), 6)))
    sign = 1.0 if higher_is_better else -1.0
    naive, efficient = _network(), _network()
    expected = _naive(naive, images, [levels] * sets, margin, sign)
    scores = efficient(images.flatten(0, 1)).view(sets, -1)
    found = ranked_sets_loss(
        scores, torch.tensor([levels] * sets), margin, higher_is_better=higher_is_better
    )
    assert found.item() == pytest.approx(expected.item(), abs=1e-10)
    if levels is INCOMPARABLE:
        assert found.item() == 0
        return
    expected.backward()
    found.backward()
    for one, other in zip(naive.parameters(), efficient.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-10)


def test_known_values():
    scores = torch.tensor([[3.0, 1.0, 2.0]])
    levels = torch.tensor([[[0], [1], [2]]])
    # Pairs (0, 1), (0, 2) and (1, 2) are ahead by 2, 1 and -1.
    loss = ranked_sets_loss(scores, levels, 1.5, higher_is_better=True)
    assert loss.item() == pytest.approx((0 + 0.5 + 2.5) / 3)
    loss = ranked_sets_loss(scores, levels, 1.5, higher_is_better=False)
    assert loss.item() == pytest.approx((3.5 + 2.5 + 0.5) / 3)


@settings(max_examples=50, deadline=None)
@given(
    levels=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=7),
    seed=st.integers(0, 1000),
)
def test_order_of_images_does_not_matter_and_pairs_are_those_of_the_partial_order(levels, seed):
    generator = np.random.default_rng(seed)
    scores, order = generator.normal(size=len(levels)), generator.permutation(len(levels))
    table = np.array(levels)

    def loss(scores, table):
        return ranked_sets_loss(
            torch.from_numpy(scores)[None], torch.from_numpy(table)[None], 10.0,
            higher_is_better=True,
        ).item()  # fmt: skip

    assert loss(scores[order], table[order]) == pytest.approx(loss(scores, table))
    # Where the margin is larger than any difference, equal scores count pairs.
    pairs = ranks_above(table).sum()
    assert loss(np.zeros(len(levels)), table) == pytest.approx(10.0 * pairs / len(levels))


@pytest.mark.parametrize(
    ("scores", "levels"),
    [
        (torch.zeros(3), torch.zeros(3, 1, dtype=torch.int64)),
        (torch.zeros(2, 3), torch.zeros(2, 4, 1, dtype=torch.int64)),
        (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64)),
        (torch.zeros(2, 3), torch.zeros(2, 3, 1)),
        (torch.zeros(0, 3), torch.zeros(0, 3, 1, dtype=torch.int64)),
    ],
)
def test_other_shapes_are_refused(scores, levels):
    with pytest.raises(ValueError, match="shape"):
        ranked_sets_loss(scores, levels, 1.0, higher_is_better=True)


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf")])
def test_bad_margins_are_refused(margin: float):
    with pytest.raises(ValueError, match="margin"):
        ranked_sets_loss(
            torch.zeros(1, 2), torch.tensor([[[0], [1]]]), margin, higher_is_better=True
        )
