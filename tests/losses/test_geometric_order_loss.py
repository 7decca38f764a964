"""GOL's order loss against a loop over pairs."""

import math

import pytest
import torch

from rankloop.losses.geometric_order import geometric_order_loss


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _direction(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    return (end - start) / (end - start).norm()


def _slow(embedding, ranks, references, pairs) -> float:
    terms = []
    for x, y in pairs.tolist():
        i, j = int(ranks[x]), int(ranks[y])
        if i == j:
            continue
        forward, backward = None, None
        if i < j:
            forward = _direction(references[i], references[j])
            backward = (
                _direction(references[i], references[i - 1])
                if i > 0
                else _direction(references[i + 1], references[i])
            )
        else:
            backward = _direction(references[i], references[j])
            forward = (
                _direction(references[i], references[i + 1])
                if i + 1 < len(references)
                else _direction(references[i - 1], references[i])
            )
        found = _direction(embedding[x], embedding[y])
        up, down = 20 * float(found @ forward), 20 * float(found @ backward)
        right = up if i < j else down
        terms.append(math.log(math.exp(up) + math.exp(down)) - right)
    return sum(terms) / len(terms)


def test_value_is_that_of_a_loop_also_at_the_ends():
    embedding, references = _random(6, 3), _random(4, 3, seed=1)
    ranks = torch.tensor([0, 3, 1, 3, 0, 2])
    pairs = torch.tensor([[x, y] for x in range(6) for y in range(6) if x != y])
    found = geometric_order_loss(embedding, ranks, references, pairs)
    assert found.item() == pytest.approx(_slow(embedding, ranks, references, pairs), abs=1e-10)


def test_images_along_the_line_of_the_reference_points_have_nearly_no_loss():
    line = torch.arange(5, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2.0])
    ranks = torch.tensor([4, 0, 2])
    pairs = torch.tensor([[0, 1], [1, 2], [2, 0]])
    assert geometric_order_loss(line[ranks], ranks, line, pairs).item() < 1e-10
    assert geometric_order_loss(line[ranks], 4 - ranks, line, pairs).item() > 10


def test_pairs_of_one_rank_are_passed_over():
    embedding = _random(3, 2).requires_grad_()
    ranks, pairs = torch.tensor([1, 1, 1]), torch.tensor([[0, 1], [1, 2]])
    loss = geometric_order_loss(embedding, ranks, _random(4, 2), pairs)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.isfinite(embedding.grad).all()
