import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.losses.pairwise_ranking import pairwise_ranking_loss

SCORE = st.floats(0.0, 1.0)
PAIRS = st.lists(st.tuples(SCORE, SCORE, st.sampled_from([-1, 1])), min_size=1, max_size=12)
MARGIN = st.floats(0.0, 0.9)


def tensors(pairs):
    first, second, delta = zip(*pairs, strict=True)
    return (
        torch.tensor(first, dtype=torch.float64, requires_grad=True),
        torch.tensor(second, dtype=torch.float64, requires_grad=True),
        torch.tensor(delta),
    )


def by_loop(first, second, delta, margin):
    """Eq. 1 written out, and its gradient by hand."""
    n = len(first)
    loss, grad_first, grad_second = 0.0, [0.0] * n, [0.0] * n
    for i in range(n):
        d = (-1) * (first[i] - second[i])
        hinge = d * delta[i] + margin
        if hinge > 0:
            loss += hinge / n
            grad_first[i] = -delta[i] / n
            grad_second[i] = delta[i] / n
    return loss, grad_first, grad_second


@settings(deadline=None)
@given(PAIRS, MARGIN)
def test_value_and_gradient_equal_the_loop(pairs, margin):
    first, second, delta = tensors(pairs)
    loss = pairwise_ranking_loss(first, second, delta, margin)
    loss.backward()
    expected, grad_first, grad_second = by_loop(*zip(*pairs, strict=True), margin)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert first.grad.tolist() == pytest.approx(grad_first)
    assert second.grad.tolist() == pytest.approx(grad_second)


def test_a_blurrier_first_image_is_pushed_below_the_second():
    first, second, delta = tensors([(0.5, 0.5, -1)])
    loss = pairwise_ranking_loss(first, second, delta, 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(0.1)
    # Descent moves against the gradient: the first score falls, the second rises.
    assert (first.grad.item(), second.grad.item()) == (1.0, -1.0)


def test_is_zero_once_the_sharper_image_leads_by_the_margin():
    first, second, delta = tensors([(0.3, 0.5, -1), (0.9, 0.1, 1)])
    loss = pairwise_ranking_loss(first, second, delta, 0.19)
    loss.backward()
    assert loss.item() == 0.0
    assert first.grad.tolist() == second.grad.tolist() == [0.0, 0.0]


@settings(deadline=None)
@given(PAIRS, MARGIN, st.randoms(use_true_random=False))
def test_order_of_the_pairs_does_not_matter(pairs, margin, random):
    shuffled = random.sample(pairs, len(pairs))
    loss = pairwise_ranking_loss(*tensors(pairs), margin)
    assert pairwise_ranking_loss(*tensors(shuffled), margin).item() == pytest.approx(loss.item())


@settings(deadline=None)
@given(PAIRS, MARGIN)
def test_swapping_the_images_and_the_label_changes_nothing(pairs, margin):
    first, second, delta = tensors(pairs)
    loss = pairwise_ranking_loss(first, second, delta, margin)
    assert pairwise_ranking_loss(second, first, -delta, margin).item() == loss.item()


def test_gradcheck_away_from_kinks():
    # Hinges: 0.6, -0.2, -0.4, 0.2 before the maximum.
    pairs = [(0.9, 0.4, -1), (0.8, 0.5, 1), (0.1, 0.6, -1), (0.3, 0.4, 1)]
    first, second, delta = tensors(pairs)
    assert torch.autograd.gradcheck(
        lambda a, b: pairwise_ranking_loss(a, b, delta, 0.1), (first, second)
    )


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32, torch.float64])
def test_labels_of_any_dtype_keep_the_dtype_of_the_scores(dtype):
    scores = torch.tensor([0.2, 0.7])
    delta = torch.tensor([-1, 1], dtype=dtype)
    loss = pairwise_ranking_loss(scores, scores.flip(0), delta, 0.1)
    assert loss.dtype == torch.float32
    assert loss.item() == 0.0


def test_a_nan_score_gives_a_nan_loss():
    scores = torch.tensor([math.nan, 0.5])
    assert pairwise_ranking_loss(scores, torch.zeros(2), torch.tensor([1, 1]), 0.1).isnan()


@pytest.mark.parametrize("labels", [[0, 1], [True, False], [1, 2]])
def test_other_labels_are_refused(labels):
    with pytest.raises(ValueError, match="give -1 where the first image is the blurrier"):
        pairwise_ranking_loss(torch.rand(2), torch.rand(2), torch.tensor(labels), 0.1)


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="one label to each pair"):
        pairwise_ranking_loss(torch.rand(2), torch.rand(2), torch.ones(2, 1), 0.1)
