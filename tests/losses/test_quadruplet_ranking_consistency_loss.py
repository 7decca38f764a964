import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.losses.quadruplet_ranking_consistency import quadruplet_ranking_consistency_loss

# Few values, so that ties are common.
SCORE = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]) | st.floats(0.0, 1.0)
QUADRUPLETS = st.lists(st.tuples(SCORE, SCORE, SCORE, SCORE), min_size=1, max_size=12)
MARGIN = st.floats(0.0, 0.9)


def tensors(quadruplets):
    return [
        torch.tensor(column, dtype=torch.float64, requires_grad=True)
        for column in zip(*quadruplets, strict=True)
    ]


def by_loop(quadruplets, margin):
    """Eq. 2 written out, and its gradient with respect to the blurred images' scores by hand."""
    n = len(quadruplets)
    loss, grad_first, grad_second = 0.0, [0.0] * n, [0.0] * n
    for j, (y1, y2, y1d, y2d) in enumerate(quadruplets):
        delta = -1 if y1 < y2 else 1
        hinge = (-1) * (y1d - y2d) * delta + margin
        if hinge > 0:
            loss += hinge / n
            grad_first[j] = -delta / n
            grad_second[j] = delta / n
    return loss, grad_first, grad_second


@settings(deadline=None)
@given(QUADRUPLETS, MARGIN)
def test_value_and_gradient_equal_the_loop(quadruplets, margin):
    scores = tensors(quadruplets)
    loss = quadruplet_ranking_consistency_loss(*scores, margin)
    loss.backward()
    expected, grad_first, grad_second = by_loop(quadruplets, margin)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert scores[2].grad.tolist() == pytest.approx(grad_first)
    assert scores[3].grad.tolist() == pytest.approx(grad_second)


@settings(deadline=None)
@given(QUADRUPLETS, MARGIN)
def test_the_pseudo_label_carries_no_gradient(quadruplets, margin):
    scores = tensors(quadruplets)
    loss = quadruplet_ranking_consistency_loss(*scores, margin)
    gradients = torch.autograd.grad(loss, scores[:2], allow_unused=True)
    assert gradients == (None, None)


def test_a_network_that_gives_all_four_scores_learns_only_through_the_blurred_ones():
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    first, second, first_blurred, second_blurred = (weight * x for x in (0.9, 0.1, 0.4, 0.5))
    loss = quadruplet_ranking_consistency_loss(
        first[None], second[None], first_blurred[None], second_blurred[None], 0.1
    )
    loss.backward()
    assert loss.item() == pytest.approx(2.0 * 0.1 + 0.1)
    assert weight.grad.item() == pytest.approx(0.5 - 0.4)


@pytest.mark.parametrize(("y1", "y2", "hinge"), [(0.2, 0.6, 0.4), (0.6, 0.2, 0.0), (0.5, 0.5, 0.0)])
def test_the_pseudo_label_is_the_scorers_order_and_a_tie_counts_as_first_sharper(y1, y2, hinge):
    scores = tensors([(y1, y2, 0.8, 0.5)])
    assert quadruplet_ranking_consistency_loss(*scores, 0.1).item() == pytest.approx(hinge)


@settings(deadline=None)
@given(QUADRUPLETS, MARGIN)
def test_blurring_that_keeps_the_order_by_the_margin_costs_nothing(quadruplets, margin):
    kept = [
        (y1, y2, 0.0, margin + 1e-9) if y1 < y2 else (y1, y2, margin + 1e-9, 0.0)
        for y1, y2, _, _ in quadruplets
    ]
    assert quadruplet_ranking_consistency_loss(*tensors(kept), margin).item() == 0.0


@settings(deadline=None)
@given(QUADRUPLETS, MARGIN, st.randoms(use_true_random=False))
def test_order_of_the_quadruplets_does_not_matter(quadruplets, margin, random):
    shuffled = random.sample(quadruplets, len(quadruplets))
    loss = quadruplet_ranking_consistency_loss(*tensors(quadruplets), margin).item()
    again = quadruplet_ranking_consistency_loss(*tensors(shuffled), margin).item()
    assert again == pytest.approx(loss)


@settings(deadline=None)
@given(QUADRUPLETS.filter(lambda q: all(y1 != y2 for y1, y2, _, _ in q)), MARGIN)
def test_swapping_both_pairs_changes_nothing_where_there_is_no_tie(quadruplets, margin):
    y1, y2, y1d, y2d = tensors(quadruplets)
    loss = quadruplet_ranking_consistency_loss(y1, y2, y1d, y2d, margin).item()
    assert quadruplet_ranking_consistency_loss(y2, y1, y2d, y1d, margin).item() == loss


def test_gradcheck_away_from_kinks():
    first, second, *blurred = tensors(
        [(0.9, 0.4, 0.2, 0.5), (0.1, 0.6, 0.1, 0.9), (0, 1, 0.9, 0.2)]
    )
    assert torch.autograd.gradcheck(
        lambda a, b: quadruplet_ranking_consistency_loss(first, second, a, b, 0.1), tuple(blurred)
    )
