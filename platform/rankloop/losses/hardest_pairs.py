"""Ranking hinge loss on the hardest of some pairs (hard-negative mining)."""

import torch

from rankloop.losses.checks import check_margin, check_scores


def hardest_pairs_loss(
    better: torch.Tensor, worse: torch.Tensor, margin: float, hardest: int
) -> torch.Tensor:
    """Return the hinge loss summed over the pairs of most loss, by number of their images.

    All pairs went through the network, only the hardest are learned from (TPAMI paper, section
    6.1.1, after Simo-Serra et al., ICCV 2015).

    Args:
        better: scores of the better images, float (n,), higher is better.
        worse: scores of the worse images, float (n,).
        margin: ε >= 0, in score units.
        hardest: pairs to learn from, >= 1; more than n means all.

    Returns:
        Scalar >= 0. At the kink its gradient is 0.

    Raises:
        ValueError: the shapes are not both (n,) with n > 0, the margin is negative or not finite,
            or ``hardest`` is below 1.
    """
    check_scores(better=better, worse=worse)
    check_margin(margin)
    if hardest < 1:
        raise ValueError(f"hardest is {hardest}: give the number of pairs to learn from, >= 1")
    kept = min(hardest, len(better))
    hinge = torch.relu(margin - (better - worse))
    return hinge.topk(kept).values.sum() / (2 * kept)
