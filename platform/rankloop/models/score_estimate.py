"""The score of an image from its place between two pivots (QCN, section 3.5, eq. 15 to 17)."""

import torch


def estimated_scores(
    embedding: torch.Tensor, pivots: torch.Tensor, pivot_scores: torch.Tensor
) -> torch.Tensor:
    """Return scores: of the two adjacent pivots nearest to an image, its projection on their line.

    The pair is the one with the least sum of distances. α (eq. 16) is not limited to [0, 1], so
    that scores beyond the first and the last pivot's can be reached. Differentiable, except for the
    choice of the pair.

    Args:
        embedding: of the images, float (b, n, c).
        pivots: in the order of their scores, float (b, m, c), or (1, m, c) for all b alike.
        pivot_scores: float (m,), ascending.

    Returns:
        Float (b, n), on the scale of ``pivot_scores``.
    """
    pivots = pivots.expand(len(embedding), -1, -1)
    distances = torch.cdist(embedding, pivots, compute_mode=_EXACT)
    below = (distances[:, :, :-1] + distances[:, :, 1:]).argmin(dim=2)
    at = below[:, :, None].expand(-1, -1, pivots.shape[2])
    low, high = pivots.gather(1, at), pivots.gather(1, at + 1)
    line = high - low
    squared = line.square().sum(dim=2).clamp_min(_SMALLEST)
    share = ((embedding - low) * line).sum(dim=2) / squared
    first, second = (pivot_scores.to(share.dtype)[i] for i in (below, below + 1))
    return first + share * (second - first)


# The faster mode loses digits where distances are small, and with them the nearest pair.
_EXACT = "donot_use_mm_for_euclid_dist"
# Pivots that fall together would divide by zero.
_SMALLEST = 1e-12
