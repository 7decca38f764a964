"""Log-sum-exp pairwise (LSEP) loss on pairs of known order.

Li, Song, Luo: Improving Pairwise Ranking for Multi-label Image Classification, CVPR 2017.
"""

import torch

from rankloop.losses.checks import check_scores


def lsep_loss(better: torch.Tensor, worse: torch.Tensor) -> torch.Tensor:
    """Return the mean over n sets of ``log(1 + sum over a set's pairs of exp(worse - better))``.

    In SSRanking's Table 2 ("Ours LSEP") a pair is an image and the same image blurred. The loss has
    no margin: it is smooth, positive, and falls towards 0 as the better images pull ahead.

    Args:
        better: scores of the better images, higher is better: float (n,) for one pair in each set,
            or (n, k) for k pairs in each set, summed inside the logarithm.
        worse: scores of the worse images, float, of the same shape.

    Returns:
        Scalar > 0.

    Raises:
        ValueError: the shapes differ, are neither (n,) nor (n, k), or hold no pairs.
    """
    check_scores(dimensions=(1, 2), better=better, worse=worse)
    exponents = (worse - better).reshape(len(better), -1)
    # exp(0) is the 1 of the formula; logsumexp neither overflows nor loses small terms.
    zeros = exponents.new_zeros(len(exponents), 1)
    return torch.logsumexp(torch.cat([zeros, exponents], dim=1), dim=1).mean()
