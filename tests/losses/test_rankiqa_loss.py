import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.losses.pairwise_ranking import pairwise_ranking_loss
from rankloop.losses.rankiqa import rankiqa_loss

SCORE = st.floats(0.0, 1.0)
PAIRS = st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=12)
MARGIN = st.floats(0.0, 0.9)


def tensors(pairs):
    return [
        torch.tensor(column, dtype=torch.float64, requires_grad=True)
        for column in zip(*pairs, strict=True)
    ]


@settings(deadline=None)
@given(PAIRS, MARGIN)
def test_value_and_gradient_equal_the_loop(pairs, margin):
    better, worse = tensors(pairs)
    loss = rankiqa_loss(better, worse, margin)
    loss.backward()
    n = len(pairs)
    expected, grad_better, grad_worse = 0.0, [0.0] * n, [0.0] * n
    for i, (b, w) in enumerate(pairs):
        if margin - (b - w) > 0:
            expected += (margin - (b - w)) / n
            grad_better[i] = -1 / n
            grad_worse[i] = 1 / n
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert better.grad.tolist() == pytest.approx(grad_better)
    assert worse.grad.tolist() == pytest.approx(grad_worse)


@settings(deadline=None)
@given(PAIRS, MARGIN)
def test_is_the_pairwise_ranking_loss_of_pairs_with_the_sharper_image_first(pairs, margin):
    better, worse = tensors(pairs)
    labelled = pairwise_ranking_loss(better, worse, torch.ones(len(pairs)), margin)
    assert rankiqa_loss(better, worse, margin).item() == pytest.approx(labelled.item(), abs=1e-12)


@settings(deadline=None)
@given(PAIRS, MARGIN, st.randoms(use_true_random=False))
def test_order_of_the_pairs_does_not_matter(pairs, margin, random):
    shuffled = random.sample(pairs, len(pairs))
    loss = rankiqa_loss(*tensors(pairs), margin).item()
    assert rankiqa_loss(*tensors(shuffled), margin).item() == pytest.approx(loss)


def test_is_zero_once_the_better_image_leads_by_the_margin():
    better, worse = tensors([(0.7, 0.5), (1.0, 0.0)])
    loss = rankiqa_loss(better, worse, 0.19)
    loss.backward()
    assert loss.item() == 0.0
    assert better.grad.tolist() == worse.grad.tolist() == [0.0, 0.0]


def test_gradcheck_away_from_kinks():
    assert torch.autograd.gradcheck(
        lambda b, w: rankiqa_loss(b, w, 0.1), tuple(tensors([(0.9, 0.4), (0.2, 0.8), (0.5, 0.45)]))
    )
