"""Order loss: three consecutive pivots lie on a line (QCN, section 3.4, eq. 10 and 11)."""

from typing import Literal

import torch
from torch.nn import functional

OrderLoss = Literal["sum", "mean_with_ends"]
# Directions between points that are nearer than this to each other are zero.
_NEAREST = 1e-6


def pivot_order_loss(pivots: torch.Tensor, variant: OrderLoss = "sum") -> torch.Tensor:
    """Return the cosine of the angle at each pivot between its two neighbours, added up.

    Args:
        pivots: updated pivots in the order of their scores, float (b, m, c), m >= 3.
        variant: "sum" over the m - 2 inner pivots, in [-(m - 2), m - 2] (eq. 11); or, as in the
            authors' code, "mean_with_ends": the mean over all m pivots of 1 + cosine, in [0, 2],
            where the first pivot's neighbours are taken to be opposite to each other where the next
            two are in one direction, and the last pivot's likewise.

    Returns:
        Scalar, the mean over b.

    Raises:
        ValueError: another shape.
    """
    if pivots.ndim != 3 or pivots.shape[1] < 3:
        raise ValueError(f"pivots have shape {tuple(pivots.shape)}: give (b, m, c) with m >= 3")
    step = _direction(pivots[:, 1:] - pivots[:, :-1])
    inner = -(step[:, :-1] * step[:, 1:]).sum(dim=2)
    if variant == "sum":
        return inner.sum(dim=1).mean()
    first = -(step[:, 0] * _direction(pivots[:, 2] - pivots[:, 0])).sum(dim=1)
    last = -(step[:, -1] * _direction(pivots[:, -1] - pivots[:, -3])).sum(dim=1)
    cosines = torch.cat([first[:, None], inner, last[:, None]], dim=1)
    return (1 + cosines).mean()


def _direction(difference: torch.Tensor) -> torch.Tensor:
    return functional.normalize(difference, dim=-1, eps=_NEAREST)
