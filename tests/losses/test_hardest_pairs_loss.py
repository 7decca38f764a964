import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.losses.hardest_pairs import hardest_pairs_loss
from rankloop.losses.ranked_sets import ranked_sets_loss


@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_value_and_gradient_are_those_of_the_hardest_pairs(n: int, hardest: int, seed: int):
    scores = np.random.default_rng(seed).normal(size=(n, 2))
    tensor = torch.tensor(scores, requires_grad=True)
    loss = hardest_pairs_loss(*tensor.unbind(1), 0.4, hardest)
    loss.backward()
    losses = [max(0.0, 0.4 - (better - worse)) for better, worse in scores.tolist()]
    kept = sorted(range(n), key=lambda i: -losses[i])[:hardest]
    assert loss.item() == pytest.approx(sum(losses[i] for i in kept) / (2 * len(kept)), abs=1e-12)
    expected = np.zeros((n, 2))
    for i in kept:
        if losses[i] > 0:
            expected[i] = [-1 / (2 * len(kept)), 1 / (2 * len(kept))]
    np.testing.assert_allclose(tensor.grad.numpy(), expected, atol=1e-12)


def test_of_all_pairs_it_is_the_loss_of_ranked_sets():
    scores = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    levels = torch.tensor([[[0], [1]]] * 7)
    expected = ranked_sets_loss(scores, levels, 0.3, higher_is_better=True)
    torch.testing.assert_close(hardest_pairs_loss(*scores.unbind(1), 0.3, 7), expected)


def test_none_of_the_pairs_is_refused():
    with pytest.raises(ValueError, match="hardest is 0"):
        hardest_pairs_loss(torch.zeros(2), torch.zeros(2), 0.1, 0)
