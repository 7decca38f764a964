"""Scores of images and of their mirror images together (QCN, section 4.1)."""

from collections.abc import Callable
from typing import Literal

import torch

Flip = Literal["scores", "features", "none"]


def mirrored_scores(
    encoder: Callable[[torch.Tensor], torch.Tensor],
    feature_scores: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    flip: Flip,
) -> torch.Tensor:
    """Score images together with their mirror images.

    Args:
        encoder: images uint8 (n, 3, h, w) to features (n, c).
        feature_scores: features (n, c) to scores (n,).
        images: uint8 (n, 3, h, w).
        flip: average "scores" (the paper), "features" (the authors' code), or "none": take the
            images alone.

    Returns:
        Scores (n,).
    """
    features = encoder(images)
    if flip == "none":
        return feature_scores(features)
    mirrored = encoder(images.flip(3))
    if flip == "features":
        return feature_scores((features + mirrored) / 2)
    return feature_scores(torch.cat([features, mirrored])).unflatten(0, (2, -1)).mean(dim=0)
