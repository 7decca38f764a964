"""Order loss of geometric order learning (GOL), by directions between reference points.

Lee, Shin and Kim, "Geometric order learning for rank estimation" (NeurIPS 2022), as in its authors'
code.
"""

import torch
from torch.nn import functional

# Of the cosines, before the softmax.
SCALE = 20.0


def geometric_order_loss(
    embedding: torch.Tensor, ranks: torch.Tensor, references: torch.Tensor, pairs: torch.Tensor
) -> torch.Tensor:
    """Return the cross entropy of telling, from their direction, which of two images ranks higher.

    The direction from image x to image y is compared with that from the reference point of x to the
    one of y, and with that from the reference point of x to its neighbour on the other side; at an
    end, where there is none, with the one away from the neighbour that there is.

    Args:
        embedding: of the images, float (n, c).
        ranks: int (n,), numbers of their reference points.
        references: points in the order of the ranks, float (m, c), m >= 2.
        pairs: positions of x and y of each pair, int (k, 2); those of one rank are passed over.

    Returns:
        Scalar >= 0; 0 if all pairs are of one rank.
    """
    first, second = pairs[ranks[pairs[:, 0]] != ranks[pairs[:, 1]]].unbind(dim=1)
    if not len(first):
        return embedding.sum() * 0.0
    own, other = ranks[first], ranks[second]
    rises = other > own
    last = len(references) - 1
    # On the side where y is not.
    beside = torch.where(rises, own - 1, own + 1)
    at_end = (beside < 0) | (beside > last)
    away = torch.where(rises, own + 1, own - 1)
    start = references[torch.where(at_end, away, own)]
    end = references[torch.where(at_end, own, beside.clamp(0, last))]
    towards = _direction(references[own], references[other])
    opposite = _direction(start, end)
    found = _direction(embedding[first], embedding[second])
    cosines = torch.stack([(found * towards).sum(dim=1), (found * opposite).sum(dim=1)], dim=1)
    right = torch.zeros(len(first), dtype=torch.int64, device=embedding.device)
    return functional.cross_entropy(SCALE * cosines, right)


def _direction(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    return functional.normalize(end - start, dim=1, eps=1e-6)
