"""Plain regression of whole images: the encoder of QCN with one linear layer."""

from collections.abc import Sequence

import torch
from torch import nn

from rankloop.models.image_encoder import EncoderName, ImageEncoder, build_encoder
from rankloop.models.initialisation import seeded_initialisation
from rankloop.models.mirror import Flip, mirrored_features, mirrored_scores
from rankloop.models.score_scale import ScoreScale


class RegressionNetwork(nn.Module):
    """An encoder and a linear layer, on the scale of the labels.

    Attributes:
        higher_is_better: True: a higher score means a better image.
        encoder: images to features (n, c).
        scale: of the labels; set from the training scores.
        flip: see `rankloop.models.mirror`.
    """

    higher_is_better: bool = True

    def __init__(self, encoder: ImageEncoder, flip: Flip) -> None:
        """Put it together; ``build_regression`` makes the parts."""
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.channels, 1)
        self.scale = ScoreScale()
        self.flip = flip

    def forward(self, images: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Score images of any shape.

        Args:
            images: uint8 (n, 3, h, w), or (3, h, w) each.

        Returns:
            Float (n,).
        """
        return self.feature_scores(self.encoder(images))

    def feature_scores(self, features: torch.Tensor) -> torch.Tensor:
        """Score images by their features, float (n, c): float (n,)."""
        scores: torch.Tensor = self.scale(self.head(features).squeeze(1))
        return scores

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """Score images, uint8 (n, 3, h, w): float (n,)."""
        features = mirrored_features(self.encoder, images, self.flip)
        return mirrored_scores(self.feature_scores, features)


def build_regression(
    backbone: EncoderName,
    *,
    weights: str,
    channels: int,
    frozen_statistics: bool,
    flip: Flip,
    seed: int,
) -> RegressionNetwork:
    """Build a network on the CPU; the same arguments give the same weights every time.

    Args: see `rankloop.models.qcn.build_qcn`.

    Raises:
        ConfigError: weights that are unknown, unreadable or do not fit.
    """
    with seeded_initialisation(seed):
        encoder = build_encoder(backbone, weights, channels, frozen_statistics=frozen_statistics)
        return RegressionNetwork(encoder, flip)
