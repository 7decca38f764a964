"""Attention against loops over tokens and heads."""

import math

import pytest
import torch

from rankloop.models.attention import attention


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _slow(query, key, value, heads: int, exclude_self: bool, normalised: bool) -> torch.Tensor:
    b, tokens, _ = query.shape
    m = key.shape[1]
    d, e = query.shape[2] // heads, value.shape[2] // heads
    similarity = torch.zeros(b, heads, tokens, m, dtype=torch.float64)
    for i in range(b):
        for h in range(heads):
            for x in range(tokens):
                for y in range(m):
                    similarity[i, h, x, y] = sum(
                        query[i, x, h * d + c] * key[i, y, h * d + c] for c in range(d)
                    )
            if normalised and exclude_self:
                one = similarity[i, h]
                similarity[i, h] = (one - one.mean()) / (one.var(correction=0) + 1e-5).sqrt()
        if normalised and not exclude_self:
            all_heads = similarity[i]
            deviation = (all_heads.var(correction=0) + 1e-5).sqrt()
            similarity[i] = (all_heads - all_heads.mean()) / deviation
    out = torch.zeros(b, tokens, heads * e, dtype=torch.float64)
    for i in range(b):
        for h in range(heads):
            for x in range(tokens):
                others = [y for y in range(m) if not (exclude_self and x == y)]
                weights = [math.exp(similarity[i, h, x, y]) for y in others]
                for y, weight in zip(others, weights, strict=True):
                    part = value[i, y, h * e : (h + 1) * e]
                    out[i, x, h * e : (h + 1) * e] += weight / sum(weights) * part
    return out


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
def test_attention_is_that_of_loops(heads, exclude_self, normalised):
    tokens = 4 if exclude_self else 3
    query, key, value = _random(2, tokens, 4), _random(2, 4, 4, seed=1), _random(2, 4, 6, seed=2)
    found = attention(query, key, value, heads, exclude_self=exclude_self, normalised=normalised)
    expected = _slow(query, key, value, heads, exclude_self, normalised)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_one_query_for_all_groups_is_the_same_as_a_copy_for_each():
    query, key, value = _random(1, 3, 4), _random(5, 6, 4, seed=1), _random(5, 6, 4, seed=2)
    found = attention(query, key, value, heads=2, normalised=True)
    copied = attention(query.expand(5, -1, -1), key, value, heads=2, normalised=True)
    torch.testing.assert_close(found, copied)


def test_a_single_token_attends_to_nothing():
    query = _random(2, 1, 4).requires_grad_()
    found = attention(query, query, query, exclude_self=True, normalised=True)
    assert found.tolist() == torch.zeros(2, 1, 4).tolist()
    found.sum().backward()
    assert query.grad is not None
    assert torch.isfinite(query.grad).all()


def test_a_mask_that_scoring_made_can_be_trained_with():
    # Of a length that no other test has.
    tokens = torch.randn(2, 23, 4, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        scored = attention(tokens, tokens, tokens, exclude_self=True)
    learned = tokens.clone().requires_grad_()
    trained = attention(learned, learned, learned, exclude_self=True)
    trained.sum().backward()
    torch.testing.assert_close(trained.detach(), scored.clone())
    assert learned.grad is not None
