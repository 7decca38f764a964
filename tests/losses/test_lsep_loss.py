import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.losses.lsep import lsep_loss

SCORE = st.floats(-5.0, 5.0)


@st.composite
def sets(draw):
    """(n, k) pairs of scores as two nested lists."""
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rows = st.lists(st.lists(SCORE, min_size=k, max_size=k), min_size=n, max_size=n)
    return draw(rows), draw(rows)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@settings(deadline=None)
@given(sets())
def test_value_and_gradient_equal_the_loop(scores):
    better, worse = (tensor(values) for values in scores)
    loss = lsep_loss(better, worse)
    loss.backward()
    n, k = better.shape
    expected, gradient = 0.0, [[0.0] * k for _ in range(n)]
    for i in range(n):
        terms = [math.exp(scores[1][i][j] - scores[0][i][j]) for j in range(k)]
        expected += math.log(1 + sum(terms)) / n
        for j in range(k):
            gradient[i][j] = terms[j] / (1 + sum(terms)) / n
    assert loss.item() == pytest.approx(expected)
    torch.testing.assert_close(worse.grad, torch.tensor(gradient, dtype=torch.float64))
    torch.testing.assert_close(better.grad, -torch.tensor(gradient, dtype=torch.float64))


@settings(deadline=None)
@given(st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=8))
def test_one_pair_in_each_set_is_the_mean_softplus(pairs):
    better, worse = (tensor(column) for column in zip(*pairs, strict=True))
    expected = sum(math.log1p(math.exp(w - b)) for b, w in pairs) / len(pairs)
    assert lsep_loss(better, worse).item() == pytest.approx(expected)
    assert lsep_loss(better[:, None], worse[:, None]).item() == pytest.approx(expected)


@settings(deadline=None)
@given(sets(), st.randoms(use_true_random=False))
def test_order_of_the_sets_and_of_the_pairs_in_a_set_does_not_matter(scores, random):
    better, worse = (tensor(values) for values in scores)
    rows = random.sample(range(better.shape[0]), better.shape[0])
    columns = random.sample(range(better.shape[1]), better.shape[1])
    shuffled = lsep_loss(better[rows][:, columns], worse[rows][:, columns]).item()
    assert shuffled == pytest.approx(lsep_loss(better, worse).item())


def test_falls_as_the_better_image_pulls_ahead_and_never_reaches_zero():
    worse = torch.zeros(1, dtype=torch.float64)
    losses = [lsep_loss(worse + lead, worse).item() for lead in (-1.0, 0.0, 1.0, 10.0, 30.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(math.exp(-30.0))
    assert losses[1] == pytest.approx(math.log(2.0))


def test_large_differences_do_not_overflow():
    better = torch.tensor([-1000.0, 1000.0], requires_grad=True)
    loss = lsep_loss(better, torch.zeros(2))
    loss.backward()
    assert loss.item() == pytest.approx(500.0)
    assert better.grad.tolist() == pytest.approx([-0.5, 0.0])


def test_gradcheck():
    generator = torch.Generator().manual_seed(0)
    better, worse = (
        torch.rand(3, 4, dtype=torch.float64, generator=generator).requires_grad_()
        for _ in range(2)
    )
    assert torch.autograd.gradcheck(lsep_loss, (better, worse))
