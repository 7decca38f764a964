"""The metric constraint against loops over pairs and pivots."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.losses.metric_constraint import metric_constraint_loss

PIVOT_SCORES = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0], dtype=torch.float64)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _slow(embedding, scores, pivots, pairs, margin, threshold, constrain_similar) -> float:
    total, count = 0.0, 0
    for b in range(len(embedding)):
        for x, y in pairs[b].tolist():
            count += 1
            if scores[b, x] < scores[b, y]:
                x, y = y, x
            for r, score in zip(pivots[b], PIVOT_SCORES, strict=True):
                to_x, to_y = (float((r - embedding[b, i]).norm()) for i in (x, y))
                if scores[b, x] > scores[b, y] + threshold:
                    if score <= scores[b, y]:
                        total += max(0.0, to_y - to_x + margin)
                    if score >= scores[b, x]:
                        total += max(0.0, to_x - to_y + margin)
                elif constrain_similar:
                    total += max(0.0, abs(to_x - to_y) - (margin if threshold else 0.0))
    return total / count


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    margin=st.sampled_from([0.0, 0.1, 0.5]),
    threshold=st.sampled_from([0.0, 1.0]),
    constrain_similar=st.booleans(),
)
def test_value_is_that_of_loops(seed, margin, threshold, constrain_similar):
    embedding, pivots = _random(2, 4, 3, seed=seed), _random(2, 5, 3, seed=seed + 1)
    # Halves, so that some scores are alike, and some those of pivots.
    scores = (_random(2, 4, seed=seed + 2).abs() * 4).round() / 2
    every = torch.tensor(list(itertools.combinations(range(4), 2)))
    pairs = every.expand(2, -1, -1)
    found = metric_constraint_loss(
        embedding,
        scores,
        pivots,
        PIVOT_SCORES,
        pairs,
        margin,
        threshold=threshold,
        constrain_similar=constrain_similar,
    )
    expected = _slow(embedding, scores, pivots, pairs, margin, threshold, constrain_similar)
    assert found.item() == pytest.approx(expected, abs=1e-10)


def test_images_in_order_along_a_line_of_pivots_violate_nothing():
    line = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    scores = torch.tensor([[0.5, 1.5, 3.0, 3.9]], dtype=torch.float64)
    pairs = torch.tensor([[[0, 1], [2, 0], [3, 1]]])
    found = metric_constraint_loss(
        scores[:, :, None] * line,
        scores,
        (PIVOT_SCORES[:, None] * line)[None],
        PIVOT_SCORES,
        pairs,
        margin=0.1,
    )
    assert found.item() == 0.0


def test_one_set_of_pivots_may_serve_all_groups():
    embedding, pivots = _random(3, 4, 3), _random(1, 5, 3, seed=1)
    scores, pairs = _random(3, 4, seed=2), torch.tensor([[[0, 1], [2, 3]]]).expand(3, -1, -1)
    one = metric_constraint_loss(embedding, scores, pivots, PIVOT_SCORES, pairs, 0.1)
    copied = pivots.expand(3, -1, -1)
    assert one == metric_constraint_loss(embedding, scores, copied, PIVOT_SCORES, pairs, 0.1)


def test_without_pairs_the_loss_is_zero_and_can_be_learned_from():
    embedding = _random(2, 1, 3).requires_grad_()
    pairs = torch.empty(2, 0, 2, dtype=torch.int64)
    loss = metric_constraint_loss(
        embedding, _random(2, 1), _random(2, 5, 3), PIVOT_SCORES, pairs, 0.1
    )
    loss.backward()
    assert loss.item() == 0.0
    assert embedding.grad.abs().sum() == 0.0


@pytest.mark.parametrize("values", [{"margin": -0.1}, {"margin": 0.1, "threshold": float("nan")}])
def test_bad_margins_are_refused(values):
    pairs = torch.tensor([[[0, 1]]])
    with pytest.raises(ValueError, match="finite"):
        metric_constraint_loss(
            _random(1, 2, 3), _random(1, 2), _random(1, 5, 3), PIVOT_SCORES, pairs, **values
        )
