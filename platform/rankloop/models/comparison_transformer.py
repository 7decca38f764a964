"""The comparison transformer of QCN as the paper describes it (section 3.3)."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from rankloop.models.attention import attention

FeedForward = Literal["residual", "plain"]


class ComparisonTransformer(nn.Module):
    """Updates features of images and pivots by each other, in four modules.

    Masked feature self-update (eq. 3 to 5), feature-pivot cross-update (eq. 6 and 7), pivot
    self-update (eq. 8), pivot-feature cross-update (eq. 9). Without a self-update its tokens stay
    as they are (Table 3).
    """

    def __init__(
        self,
        channels: int,
        heads: int = 1,
        *,
        feed_forward: FeedForward = "residual",
        feature_self_update: bool = True,
        pivot_self_update: bool = True,
    ) -> None:
        """Make the modules.

        Args:
            channels: length C of a token, which ``heads`` divides.
            heads: attentions side by side; the paper has one.
            feed_forward: φ, two layers of which the paper says no more: "plain" they alone, with
                which nothing was learned where it was tried; "residual" with what they are given
                normalised, and added to what they make of it.
            feature_self_update: FSU of Table 3.
            pivot_self_update: PSU of Table 3.
        """
        super().__init__()
        self.feature_self = (
            _Update(channels, heads, feed_forward, masked=True) if feature_self_update else None
        )
        self.pivot_cross = _Update(channels, heads, feed_forward)
        self.pivot_self = _Update(channels, heads, feed_forward) if pivot_self_update else None
        self.feature_cross = _Update(channels, heads, feed_forward)

    def forward(
        self, features: torch.Tensor, pivots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Update features, float (b, n, c), and pivots, float (b, m, c) or (1, m, c) for all b."""
        if self.feature_self is not None:
            features = self.feature_self(features, features)
        pivots = self.pivot_cross(pivots, features)
        if self.pivot_self is not None:
            pivots = self.pivot_self(pivots, pivots)
        return self.feature_cross(features, pivots), pivots


class _Update(nn.Module):
    """φ(A V + tokens), with Q of the tokens and K, V of their context."""

    def __init__(
        self, channels: int, heads: int, feed_forward: FeedForward, *, masked: bool = False
    ) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.feed_forward = _FeedForward(channels, residual=feed_forward == "residual")
        self.heads, self.masked = heads, masked

    def forward(self, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        key, value = self.key_value(context).chunk(2, dim=2)
        found = attention(self.query(tokens), key, value, self.heads, exclude_self=self.masked)
        updated: torch.Tensor = self.feed_forward(found + tokens)
        return updated


class _FeedForward(nn.Module):
    """φ."""

    def __init__(self, channels: int, *, residual: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels) if residual else None
        self.wide = nn.Linear(channels, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        given = tokens if self.norm is None else self.norm(tokens)
        made: torch.Tensor = self.narrow(functional.gelu(self.wide(given)))
        return made if self.norm is None else tokens + made
