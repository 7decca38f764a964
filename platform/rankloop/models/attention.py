"""Attention of comparison transformers (QCN, section 3.3, eq. 4 to 8)."""

from functools import lru_cache

import torch
from torch.nn import functional


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    heads: int = 1,
    *,
    exclude_self: bool = False,
    normalised: bool = False,
) -> torch.Tensor:
    """Return ``softmax(Q K^t + M) V``, without a factor before Q K^t.

    Args:
        query: float (b, l, d), or (1, l, d) for all b alike, as are key and value.
        key: float (b, m, d).
        value: float (b, m, e).
        heads: d and e are divided among so many attentions side by side.
        exclude_self: M is -infinity where the token is the same, else 0 (eq. 4), and l = m; a
            single token attends to nothing and gets zeros.
        normalised: standardise Q K^t before the mask, per head where ``exclude_self``, else over
            all heads, as the authors' code does.

    Returns:
        Float (b, l, e).
    """
    query, key, value = (_split(tokens, heads) for tokens in (query, key, value))
    similarity = query @ key.transpose(2, 3)
    if normalised:
        over = similarity.shape[2:] if exclude_self else similarity.shape[1:]
        similarity = functional.layer_norm(similarity, over)
    if exclude_self and similarity.shape[3] == 1:
        return _joined(0.0 * similarity @ value)
    if exclude_self:
        itself = _itself(similarity.shape[3], similarity.device)
        similarity = similarity.masked_fill(itself, -torch.inf)
    # With float32's digits also where the rest is computed with fewer.
    digits = torch.promote_types(similarity.dtype, torch.float32)
    weights = similarity.softmax(dim=3, dtype=digits).to(value.dtype)
    return _joined(weights @ value)


@lru_cache(maxsize=64)
def _itself(tokens: int, device: torch.device) -> torch.Tensor:
    # Made once, and not by scoring alone, whose tensors training may not use.
    with torch.inference_mode(False):
        return torch.eye(tokens, dtype=torch.bool, device=device)


def _split(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """(b, l, d) to (b, heads, l, d / heads)."""
    return tokens.unflatten(2, (heads, -1)).transpose(1, 2)


def _joined(tokens: torch.Tensor) -> torch.Tensor:
    """(b, heads, l, d / heads) to (b, l, d)."""
    return tokens.transpose(1, 2).flatten(2)
