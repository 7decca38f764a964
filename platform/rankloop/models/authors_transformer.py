"""The comparison transformer of QCN as its authors' code has it, where it differs from the paper.

Every projection is normalised over channels and tokens together, so that a token depends on the
others also beside attention; similarities are standardised; keys are half as long as tokens; tokens
are updated by residual branches that begin at zero; only the self-updates have a feed-forward
network.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from rankloop.models.attention import attention


class AuthorsComparisonTransformer(nn.Module):
    """Updates features of images and pivots by each other, in four modules.

    As `rankloop.models.comparison_transformer.ComparisonTransformer` does.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 8,
        *,
        feature_self_update: bool = True,
        pivot_self_update: bool = True,
        drop_path: float = 0.1,
    ) -> None:
        """Make the modules.

        Args:
            channels: length C of a token, of which ``2 * heads`` is a divisor.
            heads: attentions side by side.
            feature_self_update: FSU of Table 3.
            pivot_self_update: PSU of Table 3.
            drop_path: probability that training leaves a residual branch out, per group of tokens.
        """
        super().__init__()
        self.feature_self = (
            _FeatureSelfUpdate(channels, heads, drop_path) if feature_self_update else None
        )
        self.pivot_cross = _CrossUpdate(channels, heads, drop_path)
        self.pivot_self = (
            _PivotSelfUpdate(channels, heads, drop_path) if pivot_self_update else None
        )
        self.feature_cross = _CrossUpdate(channels, heads, drop_path)

    def forward(
        self, features: torch.Tensor, pivots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Update features, float (b, n, c), and pivots, float (b, m, c) or (1, m, c) for all b."""
        if self.feature_self is not None:
            features = self.feature_self(features)
        pivots = self.pivot_cross(pivots, features)
        if self.pivot_self is not None:
            pivots = self.pivot_self(pivots)
        return self.feature_cross(features, pivots), pivots


class _FeatureSelfUpdate(nn.Module):
    def __init__(self, channels: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.entry = _Projection(channels, channels)
        self.query_key_value = _Projection(channels, 2 * channels, std=channels**-0.5)
        self.exit = _Projection(channels, channels, gain=0.0)
        self.feed_forward = _FeedForward(channels, drop_path)
        self.drop_path, self.heads = _DropPath(drop_path), heads

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = functional.gelu(self.entry(functional.gelu(features)))
        found = _self_attention(self.query_key_value(inner), self.heads, exclude_self=True)
        updated = functional.gelu(features + self.drop_path(self.exit(found)))
        forwarded: torch.Tensor = self.feed_forward(updated)
        return forwarded


class _PivotSelfUpdate(nn.Module):
    def __init__(self, channels: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.query_key_value = _Projection(channels, 2 * channels, std=channels**-0.5)
        self.exit = _Projection(channels, channels, gain=0.0)
        self.feed_forward = _FeedForward(channels, drop_path)
        self.drop_path, self.heads = _DropPath(drop_path), heads

    def forward(self, pivots: torch.Tensor) -> torch.Tensor:
        found = _self_attention(self.query_key_value(functional.gelu(pivots)), self.heads)
        updated = functional.gelu(pivots + self.drop_path(self.exit(found)))
        forwarded: torch.Tensor = self.feed_forward(updated)
        return forwarded


class _CrossUpdate(nn.Module):
    def __init__(self, channels: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.token_entry = _Projection(channels, channels)
        self.context_entry = _Projection(channels, channels)
        self.query = _Projection(channels, channels // 2, std=channels**-0.5)
        self.key_value = _Projection(channels, channels // 2 + channels, std=channels**-0.5)
        self.exit = _Projection(channels, channels, gain=0.0)
        self.drop_path, self.heads = _DropPath(drop_path), heads

    def forward(self, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        query = self.query(functional.gelu(self.token_entry(tokens)))
        both = self.key_value(functional.gelu(self.context_entry(context)))
        key, value = both.split([query.shape[2], tokens.shape[2]], dim=2)
        found = _standardised(attention(query, key, value, self.heads, normalised=True))
        updated: torch.Tensor = tokens + self.drop_path(self.exit(found))
        return updated


def _self_attention(
    query_key_value: torch.Tensor, heads: int, *, exclude_self: bool = False
) -> torch.Tensor:
    width = query_key_value.shape[2] // 4
    query, key, value = query_key_value.split([width, width, 2 * width], dim=2)
    found = attention(query, key, value, heads, exclude_self=exclude_self, normalised=True)
    return _standardised(found)


def _standardised(found: torch.Tensor) -> torch.Tensor:
    return functional.gelu(functional.layer_norm(found, found.shape[1:]))


class _FeedForward(nn.Module):
    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        self.wide = _Projection(channels, 2 * channels)
        self.narrow = _Projection(2 * channels, channels, gain=0.0)
        self.drop_path = _DropPath(drop_path)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        inner = self.narrow(functional.gelu(self.wide(tokens)))
        return functional.gelu(tokens + self.drop_path(inner))


class _Projection(nn.Module):
    """A linear map without bias, then standardised over channels and tokens."""

    def __init__(
        self, channels: int, out: int, *, std: float | None = None, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, out, bias=False)
        std = math.sqrt(2 / channels) if std is None else std
        nn.init.trunc_normal_(self.linear.weight, std=std, a=-2 * std, b=2 * std)
        self.gain = nn.Parameter(torch.full((out,), gain))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mapped = self.linear(tokens)
        return functional.layer_norm(mapped, mapped.shape[1:]) * self.gain + self.bias


class _DropPath(nn.Module):
    """Leaves a branch out in training, for whole groups of tokens, and scales up what stays."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.probability:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.probability
        return branch * kept / (1 - self.probability)
