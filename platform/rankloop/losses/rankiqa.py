"""Ranking hinge loss on pairs of known order (RankIQA; "Exploiting unlabeled data", eq. 4)."""

import torch

from rankloop.losses.checks import check_margin, check_scores


def rankiqa_loss(better: torch.Tensor, worse: torch.Tensor, margin: float) -> torch.Tensor:
    """Return ``mean(max(0, margin - (better - worse)))``.

    In SSRanking's Table 2 ("Ours RankIQA") a pair is an image and the same image blurred.

    Args:
        better: scores of the better images, float (n,), higher is better.
        worse: scores of the worse images, float (n,).
        margin: ε >= 0, in score units.

    Returns:
        Scalar >= 0. At the kink its gradient is 0.

    Raises:
        ValueError: the shapes are not both (n,) with n > 0, or the margin is negative or not
            finite.
    """
    check_scores(better=better, worse=worse)
    check_margin(margin)
    return torch.relu(margin - (better - worse)).mean()
