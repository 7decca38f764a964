"""Scores of images and of their mirror images together (QCN, section 4.1)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch

Flip = Literal["scores", "features", "none"]
Images = torch.Tensor | Sequence[torch.Tensor]


def mirrored_features(
    encoder: Callable[[Images], torch.Tensor], images: Images, flip: Flip
) -> torch.Tensor:
    """Encode images together with their mirror images.

    Args:
        encoder: images to features (n, c).
        images: uint8 (n, 3, h, w), or (3, h, w) each.
        flip: average "scores" (the paper), "features" (the authors' code), or "none": take the
            images alone.

    Returns:
        Float (n, k, c): what is to be scored of each image; k is 2 where scores are averaged.
    """
    features = encoder(images)
    if flip == "none":
        return features[:, None]
    if isinstance(images, torch.Tensor):
        mirrored = encoder(images.flip(3))
    else:
        mirrored = encoder([image.flip(2) for image in images])
    if flip == "features":
        return ((features + mirrored) / 2)[:, None]
    return torch.stack([features, mirrored], dim=1)


def mirrored_scores(
    feature_scores: Callable[[torch.Tensor], torch.Tensor], features: torch.Tensor
) -> torch.Tensor:
    """Score images by their `mirrored_features`, float (n, k, c): the means, (n,).

    Args:
        feature_scores: features (m, c) to scores (m,).
        features: of the images.
    """
    return feature_scores(features.flatten(0, 1)).unflatten(0, features.shape[:2]).mean(dim=1)
