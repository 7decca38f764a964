"""Euclidean distance between density maps (TPAMI paper, section 5.3, eq. 17)."""

import torch


def density_map_loss(
    density: torch.Tensor, truth: torch.Tensor, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the squared distance of estimated from true maps, summed over cells, mean over images.

    Args:
        density: estimated, float (n, h, w), people per cell.
        truth: of the same shape.
        inside: share of each cell that lies in the region of interest, float (n, h, w) in [0, 1]:
            what is estimated elsewhere does not count; None for everywhere.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: shapes differ, are not (n, h, w), or are empty.
    """
    shapes = {tuple(some.shape) for some in (density, truth, inside) if some is not None}
    if len(shapes) > 1 or density.ndim != 3 or not density.numel():
        raise ValueError(f"density maps have shapes {sorted(shapes)}: give (n, h, w), all alike")
    counted = density if inside is None else density * inside
    return (counted - truth).square().sum(dim=(1, 2)).mean()
