"""Comparison transformers against loops over tokens, in the paper's layout and in the code's."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from rankloop.models.authors_transformer import AuthorsComparisonTransformer
from rankloop.models.comparison_transformer import ComparisonTransformer

CHANNELS, IMAGES, PIVOTS, GROUPS = 8, 4, 5, 3
LAYOUTS = [ComparisonTransformer, AuthorsComparisonTransformer]


def _tokens(count: int, seed: int, groups: int = GROUPS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(groups, count, CHANNELS, generator=generator, dtype=torch.float64)


def _made(layout, heads: int = 1, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    made: torch.nn.Module = layout(CHANNELS, heads, **options).double().eval()
    for parameter in made.parameters():
        # Gains of the code's layout begin at zero, where nothing would be seen of a branch.
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def _softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def _updated(update, tokens: torch.Tensor, context: torch.Tensor, masked: bool) -> torch.Tensor:
    """φ(A V + tokens) for one group, token by token."""
    wide = update.key_value.weight
    key, value = wide[:CHANNELS], wide[CHANNELS:]
    out = []
    for i, token in enumerate(tokens):
        others = [j for j in range(len(context)) if not (masked and i == j)]
        query = update.query.weight @ token
        weights = _softmax([float(query @ (key @ context[j])) for j in others])
        found = sum(w * (value @ context[j]) for w, j in zip(weights, others, strict=True))
        x, forward = found + token, update.feed_forward
        if forward.norm is None:
            out.append(forward.narrow(functional.gelu(forward.wide(x))))
            continue
        normed = (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()
        inner = forward.wide(normed * forward.norm.weight + forward.norm.bias)
        out.append(x + forward.narrow(functional.gelu(inner)))
    return torch.stack(out)


@pytest.mark.parametrize("feature_self_update", [True, False])
@pytest.mark.parametrize("pivot_self_update", [True, False])
@pytest.mark.parametrize("feed_forward", ["residual", "plain"])
@torch.no_grad()
def test_modules_are_those_of_the_equations(feature_self_update, pivot_self_update, feed_forward):
    transformer = _made(
        ComparisonTransformer,
        feed_forward=feed_forward,
        feature_self_update=feature_self_update,
        pivot_self_update=pivot_self_update,
    )
    features, pivots = _tokens(IMAGES, 1), _tokens(PIVOTS, 2)
    found, found_pivots = transformer(features, pivots)
    for g in range(GROUPS):
        h, p = features[g], pivots[g]
        if feature_self_update:
            h = _updated(transformer.feature_self, h, h, masked=True)
        p = _updated(transformer.pivot_cross, p, h, masked=False)
        if pivot_self_update:
            p = _updated(transformer.pivot_self, p, p, masked=False)
        h = _updated(transformer.feature_cross, h, p, masked=False)
        torch.testing.assert_close(found[g], h, rtol=0, atol=1e-10)
        torch.testing.assert_close(found_pivots[g], p, rtol=0, atol=1e-10)


def _projected(projection, tokens: torch.Tensor) -> torch.Tensor:
    """A linear map, standardised over all its channels of all tokens of the group."""
    mapped = torch.stack([projection.linear.weight @ token for token in tokens])
    standard = (mapped - mapped.mean()) / (mapped.var(correction=0) + 1e-5).sqrt()
    return standard * projection.gain + projection.bias


def _attended(query, key, value, heads: int, masked: bool) -> torch.Tensor:
    d, e = query.shape[1] // heads, value.shape[1] // heads
    logits = torch.stack(
        [query[:, h * d : (h + 1) * d] @ key[:, h * d : (h + 1) * d].t() for h in range(heads)]
    )

    def standard(x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()

    logits = torch.stack([standard(one) for one in logits]) if masked else standard(logits)
    rows = []
    for i in range(len(query)):
        others = [j for j in range(len(key)) if not (masked and i == j)]
        parts = []
        for h in range(heads):
            weights = _softmax([float(logits[h, i, j]) for j in others])
            mixed = sum(
                w * value[j, h * e : (h + 1) * e] for w, j in zip(weights, others, strict=True)
            )
            parts.append(mixed)
        rows.append(torch.cat(parts))
    return functional.gelu(standard(torch.stack(rows)))


def _self_updated(module, tokens: torch.Tensor, inner: torch.Tensor, masked: bool) -> torch.Tensor:
    both = _projected(module.query_key_value, inner)
    half = CHANNELS // 2
    query, key, value = both[:, :half], both[:, half : 2 * half], both[:, 2 * half :]
    found = _attended(query, key, value, module.heads, masked)
    x = functional.gelu(tokens + _projected(module.exit, found))
    forward = module.feed_forward
    wide = functional.gelu(_projected(forward.wide, x))
    return functional.gelu(x + _projected(forward.narrow, wide))


def _cross_updated(module, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    query = _projected(module.query, functional.gelu(_projected(module.token_entry, tokens)))
    entered = functional.gelu(_projected(module.context_entry, context))
    both, half = _projected(module.key_value, entered), CHANNELS // 2
    found = _attended(query, both[:, :half], both[:, half:], module.heads, masked=False)
    return tokens + _projected(module.exit, found)


@pytest.mark.parametrize("heads", [1, 2])
@torch.no_grad()
def test_the_code_layout_is_that_of_the_authors(heads):
    transformer = _made(AuthorsComparisonTransformer, heads)
    features, pivots = _tokens(IMAGES, 1), _tokens(PIVOTS, 2)
    found, found_pivots = transformer(features, pivots)
    for g in range(GROUPS):
        h, p = features[g], pivots[g]
        own = transformer.feature_self
        entered = functional.gelu(_projected(own.entry, functional.gelu(h)))
        h = _self_updated(own, h, entered, masked=True)
        p = _cross_updated(transformer.pivot_cross, p, h)
        p = _self_updated(transformer.pivot_self, p, functional.gelu(p), masked=False)
        h = _cross_updated(transformer.feature_cross, h, p)
        torch.testing.assert_close(found[g], h, rtol=0, atol=1e-10)
        torch.testing.assert_close(found_pivots[g], p, rtol=0, atol=1e-10)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_order_of_images_and_the_company_of_groups_change_nothing(layout):
    transformer = _made(layout, 2)
    features, pivots = _tokens(IMAGES, 1), _tokens(PIVOTS, 2, groups=1)
    found, found_pivots = transformer(features, pivots)
    order = torch.tensor([2, 0, 3, 1])
    other, other_pivots = transformer(features[:, order], pivots.expand(GROUPS, -1, -1))
    torch.testing.assert_close(other, found[:, order])
    torch.testing.assert_close(other_pivots, found_pivots)
    alone, alone_pivots = transformer(features[1:2], pivots)
    torch.testing.assert_close(alone[0], found[1])
    torch.testing.assert_close(alone_pivots[0], found_pivots[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("images", [1, IMAGES])
def test_every_parameter_is_learned(layout, images):
    transformer = _made(layout, 2).train()
    for found in transformer(_tokens(images, 1), _tokens(PIVOTS, 2, groups=1)):
        found.square().sum().backward(retain_graph=True)
    assert [name for name, p in transformer.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_switched_off_has_no_parameters(layout):
    whole = _made(layout)
    without = _made(layout, feature_self_update=False, pivot_self_update=False)
    names = {name.partition(".")[0] for name, _ in without.named_parameters()}
    assert names == {"pivot_cross", "feature_cross"}
    assert {name.partition(".")[0] for name, _ in whole.named_parameters()} == {
        *names,
        "feature_self",
        "pivot_self",
    }


def test_the_code_layout_begins_with_what_activations_do():
    transformer = AuthorsComparisonTransformer(CHANNELS, 2).double().eval()
    features, pivots = _tokens(IMAGES, 1), _tokens(PIVOTS, 2)
    found, found_pivots = transformer(features, pivots)
    twice = functional.gelu(functional.gelu(features))
    torch.testing.assert_close(found, twice)
    torch.testing.assert_close(found_pivots, functional.gelu(functional.gelu(pivots)))


def test_branches_are_left_out_for_whole_groups_and_scaled_up_otherwise():
    transformer = AuthorsComparisonTransformer(CHANNELS, 1, drop_path=0.5)
    torch.nn.init.normal_(transformer.feature_cross.exit.gain)
    branch = transformer.feature_cross.drop_path.train()
    torch.manual_seed(0)
    found = branch(torch.ones(1000, 2, CHANNELS))
    assert set(found[:, 0, 0].tolist()) == {0.0, 2.0}
    assert (found == found[:, :1, :1]).all()
    assert 0.45 < (found[:, 0, 0] == 0).float().mean() < 0.55
    assert (branch.eval()(torch.ones(5, 2, 3)) == 1).all()
