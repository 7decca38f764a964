"""Center loss: an image is near the pivot of its score (QCN, section 3.4, eq. 12 and 13)."""

from typing import Literal

import torch

Reduction = Literal["sum", "mean"]


def interpolated_pivots(
    scores: torch.Tensor, pivots: torch.Tensor, pivot_scores: torch.Tensor
) -> torch.Tensor:
    """Return the pivot of each score, between the two pivots around it (eq. 12).

    Beyond the first or the last pivot it lies on the line through the nearest two.

    Args:
        scores: float (b, n).
        pivots: float (b, m, c), or (1, m, c) for all b alike.
        pivot_scores: float (m,), strictly ascending.

    Returns:
        Float (b, n, c).
    """
    inner = pivot_scores[1:-1].contiguous()
    below = torch.searchsorted(inner, scores.to(inner.dtype).contiguous(), right=True)
    low, high = pivot_scores[below], pivot_scores[below + 1]
    share = ((scores - low) / (high - low)).to(pivots.dtype)[:, :, None]
    pivots = pivots.expand(len(scores), -1, -1)
    at = below[:, :, None].expand(-1, -1, pivots.shape[2])
    return (1 - share) * pivots.gather(1, at) + share * pivots.gather(1, at + 1)


def pivot_center_loss(
    embedding: torch.Tensor,
    scores: torch.Tensor,
    pivots: torch.Tensor,
    pivot_scores: torch.Tensor,
    reduction: Reduction = "sum",
) -> torch.Tensor:
    """Return the distances of the images to the pivots of their scores, added up (eq. 13).

    Args:
        embedding: of the images, float (b, n, c).
        scores: of the images, float (b, n).
        pivots: float (b, m, c), or (1, m, c) for all b alike.
        pivot_scores: float (m,), strictly ascending.
        reduction: "sum" over the n images (eq. 13) or their "mean" (authors' code).

    Returns:
        Scalar >= 0, the mean over b.
    """
    differences = embedding - interpolated_pivots(scores, pivots, pivot_scores)
    distances = torch.linalg.vector_norm(differences, dim=2)
    return distances.sum(dim=1).mean() if reduction == "sum" else distances.mean()
