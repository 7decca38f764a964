"""Center loss against loops."""

import pytest
import torch

from rankloop.losses.pivot_center import interpolated_pivots, pivot_center_loss

PIVOT_SCORES = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
# Between pivots, at pivots, and beyond the first and the last.
SCORES = torch.tensor([[1.5, 4.0, 8.0, 0.0], [9.0, 1.0, 3.9, 2.0]], dtype=torch.float64)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _slow(score: float, pivots: torch.Tensor) -> torch.Tensor:
    """Eq. 12."""
    known = PIVOT_SCORES.tolist()
    m = max(m for m in range(3) if m == 0 or known[m] <= score)
    low, high = known[m], known[m + 1]
    return ((high - score) * pivots[m] + (score - low) * pivots[m + 1]) / (high - low)


def test_interpolated_pivots_are_those_of_equation_12():
    pivots = _random(2, 4, 3)
    found = interpolated_pivots(SCORES, pivots, PIVOT_SCORES)
    for b in range(2):
        for n in range(4):
            expected = _slow(float(SCORES[b, n]), pivots[b])
            torch.testing.assert_close(found[b, n], expected, rtol=0, atol=1e-10)


def test_loss_is_equation_13():
    embedding, pivots = _random(2, 4, 3), _random(2, 4, 3, seed=1)
    distances = [
        float((embedding[b, n] - _slow(float(SCORES[b, n]), pivots[b])).norm())
        for b in range(2)
        for n in range(4)
    ]
    found = pivot_center_loss(embedding, SCORES, pivots, PIVOT_SCORES).item()
    assert found == pytest.approx(sum(distances) / 2, abs=1e-10)
    mean = pivot_center_loss(embedding, SCORES, pivots, PIVOT_SCORES, "mean").item()
    assert mean == pytest.approx(sum(distances) / 8, abs=1e-10)


def test_an_image_at_its_pivot_has_no_loss_and_a_finite_gradient():
    pivots = _random(1, 4, 3)
    embedding = pivots[:, 1:2].clone().requires_grad_()
    scores = torch.tensor([[2.0]], dtype=torch.float64)
    loss = pivot_center_loss(embedding, scores, pivots, PIVOT_SCORES)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.isfinite(embedding.grad).all()
