"""Quadruplet ranking consistency (QRC) loss on unlabelled images (SSRanking 3.2, eq. 2)."""

import torch

from rankloop.losses.checks import check_scores
from rankloop.losses.pairwise_ranking import pairwise_ranking_loss


def quadruplet_ranking_consistency_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    first_blurred: torch.Tensor,
    second_blurred: torch.Tensor,
    margin: float,
) -> torch.Tensor:
    """Return ``mean(max(0, d(y1d, y2d) * delta(y1, y2) + margin))``: blurring keeps the order.

    delta(y1, y2) is a pseudo-label: -1 where y1 < y2 (the scorer holds the first image to be the
    blurrier), +1 otherwise. An exact tie is "otherwise", as in the paper's definition of the label
    (section 2). It is a constant: no gradient reaches ``first`` and ``second``.

    Args:
        first: scores y1, float (n,), higher is better (sharper).
        second: scores y2, float (n,), of other images.
        first_blurred: scores y1d, float (n,), of the first images after a blur.
        second_blurred: scores y2d, float (n,), of the second images after the same blur.
        margin: ε_QRC >= 0, in score units.

    Returns:
        Scalar >= 0. At the kink its gradient is 0.

    Raises:
        ValueError: the shapes are not all (n,) with n > 0, or the margin is negative or not finite.
    """
    check_scores(
        first=first, second=second, first_blurred=first_blurred, second_blurred=second_blurred
    )
    delta = torch.where(first.detach() < second.detach(), -1, 1)
    return pairwise_ranking_loss(first_blurred, second_blurred, delta, margin)
