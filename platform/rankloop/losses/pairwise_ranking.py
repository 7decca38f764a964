"""Pairwise margin ranking loss on labelled pairs (SSRanking, section 3.1, eq. 1)."""

import torch

from rankloop.losses.checks import check_margin, check_scores


def pairwise_ranking_loss(
    first: torch.Tensor, second: torch.Tensor, delta: torch.Tensor, margin: float
) -> torch.Tensor:
    """Return ``mean(max(0, d(y1, y2) * delta + margin))`` with ``d(y1, y2) = -(y1 - y2)``.

    The sign: delta = -1 (first blurrier) gives ``max(0, y1 - y2 + margin)``, zero once the second
    image scores higher by the margin; delta = +1 gives ``max(0, y2 - y1 + margin)``, zero once the
    first does. So what is learned is a higher score for the sharper image.

    Args:
        first: scores y1, float (n,), higher is better (sharper).
        second: scores y2, float (n,).
        delta: labels, int or float (n,), -1 where the first image is the blurrier, else +1.
        margin: ε_ranking >= 0, in score units.

    Returns:
        Scalar >= 0. At the kink its gradient is 0.

    Raises:
        ValueError: the shapes are not all (n,) with n > 0, delta holds another value than -1 and
            +1, or the margin is negative or not finite.
    """
    check_scores(first=first, second=second)
    check_margin(margin)
    if delta.shape != first.shape:
        raise ValueError(
            f"delta has shape {tuple(delta.shape)} and the scores have {tuple(first.shape)}: "
            "give one label to each pair"
        )
    if not bool(((delta == 1) | (delta == -1)).all()):
        raise ValueError(
            f"delta holds {sorted(set(delta.tolist()) - {-1, 1})}: "
            "give -1 where the first image is the blurrier, else +1"
        )
    distance = second - first
    return torch.relu(distance * delta.to(distance.dtype) + margin).mean()
