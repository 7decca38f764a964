"""Order loss against loops."""

import pytest
import torch

from rankloop.losses.pivot_order import pivot_order_loss


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _direction(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Eq. 10."""
    return (end - start) / (end - start).norm()


def test_sum_is_equation_11():
    pivots = _random(2, 6, 3)
    expected = [
        sum(
            float(_direction(p[m], p[m - 1]) @ _direction(p[m], p[m + 1]))
            for m in range(1, len(p) - 1)
        )
        for p in pivots
    ]
    assert pivot_order_loss(pivots).item() == pytest.approx(sum(expected) / 2, abs=1e-10)


def test_mean_with_ends_is_that_of_the_authors():
    pivots = _random(2, 6, 3)
    terms = []
    for p in pivots:
        terms.append(1 + float(_direction(p[1], p[0]) @ _direction(p[0], p[2])))
        terms += [
            1 + float(_direction(p[m], p[m + 1]) @ _direction(p[m], p[m - 1]))
            for m in range(1, len(p) - 1)
        ]
        terms.append(1 + float(_direction(p[-1], p[-3]) @ _direction(p[-2], p[-1])))
    found = pivot_order_loss(pivots, "mean_with_ends").item()
    assert found == pytest.approx(sum(terms) / len(terms), abs=1e-10)


@pytest.mark.parametrize(("variant", "least"), [("sum", -4.0), ("mean_with_ends", 0.0)])
def test_pivots_on_a_line_have_the_least_loss(variant, least):
    line = torch.tensor([0.0, 1.0, 5.0, 6.0, 7.0, 20.0])[:, None] * torch.tensor([1.0, 2.0])
    assert pivot_order_loss(line[None].double(), variant).item() == pytest.approx(least)


@pytest.mark.parametrize("variant", ["sum", "mean_with_ends"])
def test_pivots_that_fall_together_have_a_finite_gradient(variant):
    pivots = torch.zeros(1, 4, 3, requires_grad=True)
    pivot_order_loss(pivots, variant).backward()
    assert torch.isfinite(pivots.grad).all()


def test_what_has_no_inner_pivot_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 2, 3\): give \(b, m, c\) with m >= 3"):
        pivot_order_loss(torch.zeros(1, 2, 3))
