"""Scores from places between pivots."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.models.score_estimate import estimated_scores


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _slow(point: torch.Tensor, pivots: torch.Tensor, scores: torch.Tensor) -> float:
    """Eq. 15 to 17, one point."""
    distances = [float((point - pivot).norm()) for pivot in pivots]
    sums = [a + b for a, b in itertools.pairwise(distances)]
    m = sums.index(min(sums))
    line = pivots[m + 1] - pivots[m]
    alpha = float((point - pivots[m]) @ line / (line @ line))
    return float(scores[m] + alpha * (scores[m + 1] - scores[m]))


def test_estimates_are_those_of_the_equations():
    embedding, pivots = _random(3, 5, 4), _random(3, 7, 4, seed=1)
    scores = torch.tensor([0.0, 1.0, 3.0, 3.5, 10.0, 20.0, 40.0], dtype=torch.float64)
    found = estimated_scores(embedding, pivots, scores)
    for b in range(3):
        for n in range(5):
            expected = _slow(embedding[b, n], pivots[b], scores)
            torch.testing.assert_close(found[b, n].item(), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(place=st.floats(-0.9, 4.9), seed=st.integers(0, 20))
def test_a_point_on_a_line_of_pivots_has_the_score_of_its_place(place: float, seed: int):
    start, direction = _random(8, seed=seed), _random(8, seed=seed + 100)
    at = torch.arange(5, dtype=torch.float64)
    pivots = (start + at[:, None] * direction)[None]
    # Of one image in two groups, and beyond both ends.
    point = (start + place * direction).expand(2, 1, 8)
    found = estimated_scores(point, pivots, 10 + 2 * at)
    torch.testing.assert_close(found, torch.full((2, 1), 10 + 2 * place, dtype=torch.float64))


def test_estimates_can_be_learned_from_even_where_pivots_fall_together():
    embedding = _random(1, 2, 3).requires_grad_()
    pivots = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    estimated_scores(embedding, pivots, torch.arange(3.0)).sum().backward()
    assert torch.isfinite(embedding.grad).all()
    assert torch.isfinite(pivots.grad).all()
