"""Ranking hinge loss on all pairs of ranked sets, from one forward pass.

TPAMI paper, section 3.3: what a Siamese network computes pair by pair, without passing an image
through the network once for each pair that it is in.
"""

import torch

from rankloop.losses.checks import check_margin, check_scores


def ranked_sets_loss(
    scores: torch.Tensor, levels: torch.Tensor, margin: float, *, higher_is_better: bool
) -> torch.Tensor:
    """Return the hinge loss summed over all comparable pairs of each set, by number of images.

    Eq. 8 with the l_ij of eq. 14: images of different sets, and images of one set of which neither
    ranks above the other, make no pair. Divided as the gradient of a batch is (eq. 10), and as the
    authors' code does. The gradient is that of eq. 9 to 13.

    Args:
        scores: of m sets of n images each, float (m, n).
        levels: int (m, n, d): an image ranks above another when each of its levels is at most the
            other's, and one is lower.
        margin: ε >= 0, in score units.
        higher_is_better: whether an image that ranks above another is to have the higher score.

    Returns:
        Scalar >= 0; 0 if nothing is comparable. At the kink its gradient is 0.

    Raises:
        ValueError: shapes other than these, no images, or a margin that is negative or not finite.
    """
    check_scores(dimensions=(2,), scores=scores)
    check_margin(margin)
    if levels.ndim != 3 or levels.shape[:2] != scores.shape or levels.is_floating_point():
        raise ValueError(
            f"levels are {levels.dtype} of shape {tuple(levels.shape)} beside scores of shape "
            f"{tuple(scores.shape)}: give int (m, n, d)"
        )
    first, second = levels[:, :, None], levels[:, None, :]
    ranks_above = (first <= second).all(dim=3) & (first < second).any(dim=3)
    sign = 1.0 if higher_is_better else -1.0
    ahead = sign * (scores[:, :, None] - scores[:, None, :])
    hinge = torch.relu(margin - ahead)
    return torch.where(ranks_above, hinge, torch.zeros_like(hinge)).sum() / scores.numel()
