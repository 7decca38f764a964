"""Metric constraint of geometric order learning, the metric loss of QCN (section 3.4).

Of two images, the one with the lower score is nearer to the pivots that are lower than both, and
the other to those that are higher than both.
"""

import torch

from rankloop.losses.checks import check_margin


def metric_constraint_loss(
    embedding: torch.Tensor,
    scores: torch.Tensor,
    pivots: torch.Tensor,
    pivot_scores: torch.Tensor,
    pairs: torch.Tensor,
    margin: float,
    *,
    threshold: float = 0.0,
    constrain_similar: bool = True,
) -> torch.Tensor:
    """Return the violations summed over pivots, by number of pairs.

    Of images x, y with θ(x) > θ(y) + τ: max(0, d(r, y) - d(r, x) + γ) for each pivot r with
    θ(r) <= θ(y), max(0, d(r, x) - d(r, y) + γ) for each with θ(r) >= θ(x). Of others, for every
    pivot: max(0, |d(r, x) - d(r, y)| - γ), where τ = 0 without γ.

    Args:
        embedding: of the images, float (b, n, c).
        scores: of the images, float (b, n).
        pivots: float (b, m, c), or (1, m, c) for all b alike.
        pivot_scores: float (m,).
        pairs: positions of the two images of each pair among the n, int (b, k, 2).
        margin: γ >= 0, in units of the Euclidean distance d.
        threshold: τ >= 0, in score units.
        constrain_similar: whether images whose scores differ by at most τ are constrained.

    Returns:
        Scalar >= 0; 0 without pairs.

    Raises:
        ValueError: a margin or threshold that is negative or not finite.
    """
    check_margin(margin)
    check_margin(threshold)
    if not pairs.numel():
        return embedding.sum() * 0.0
    distances = torch.cdist(embedding, pivots.expand(len(embedding), -1, -1), compute_mode=_EXACT)
    higher, lower = _ordered(scores, pairs)
    score_high, score_low = scores.gather(1, higher), scores.gather(1, lower)
    to_high, to_low = (
        distances.gather(1, chosen[:, :, None].expand(-1, -1, distances.shape[2]))
        for chosen in (higher, lower)
    )
    ahead = to_low - to_high
    differ = (score_high - score_low > threshold)[:, :, None]
    below = differ & (pivot_scores <= score_low[:, :, None])
    above = differ & (pivot_scores >= score_high[:, :, None])
    violations = below * torch.relu(ahead + margin) + above * torch.relu(margin - ahead)
    if constrain_similar:
        slack = margin if threshold else 0.0
        violations = violations + ~differ * torch.relu(ahead.abs() - slack)
    return violations.sum() / pairs[..., 0].numel()


# The faster mode loses digits where distances are small.
_EXACT = "donot_use_mm_for_euclid_dist"


def _ordered(scores: torch.Tensor, pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = pairs.unbind(dim=2)
    swap = scores.gather(1, first) < scores.gather(1, second)
    return torch.where(swap, second, first), torch.where(swap, first, second)
