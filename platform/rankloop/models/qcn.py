"""The quality comparison network (QCN, section 3.2 to 3.5)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from rankloop.models.authors_transformer import AuthorsComparisonTransformer
from rankloop.models.comparison_transformer import ComparisonTransformer, FeedForward
from rankloop.models.image_encoder import EncoderName, ImageEncoder, build_encoder
from rankloop.models.initialisation import seeded_initialisation
from rankloop.models.mirror import Flip, mirrored_features, mirrored_scores
from rankloop.models.score_estimate import estimated_scores

Layout = Literal["paper", "code"]


class QCNNetwork(nn.Module):
    """An encoder, learned pivots and comparison transformers that arrange both by score.

    Attributes:
        higher_is_better: True: a higher score means a better image.
        encoder: images to features (n, c).
        pivots: learned, float (m, c), in the order of their scores.
        transformers: one after the other.
        flip: see `rankloop.models.mirror`.
        pivot_scores: float64 (m,), ascending; set from the training scores.
        score_range: lowest and highest training score, float64 (2,).
        auxiliary: features of the auxiliary images, float (n - 1, c); set after training.
    """

    higher_is_better: bool = True

    def __init__(
        self,
        encoder: ImageEncoder,
        transformers: Sequence[ComparisonTransformer | AuthorsComparisonTransformer],
        pivots: int,
        images: int,
        flip: Flip,
    ) -> None:
        """Put it together; ``build_qcn`` makes the parts."""
        super().__init__()
        channels = encoder.channels
        self.encoder = encoder
        self.pivots = nn.Parameter(torch.empty(pivots, channels))
        # As the authors' code does; the paper says nothing of it.
        nn.init.trunc_normal_(self.pivots, std=0.5, a=-1.0, b=1.0)
        self.transformers = nn.ModuleList(transformers)
        self.flip = flip
        self.pivot_scores: torch.Tensor
        self.score_range: torch.Tensor
        self.auxiliary: torch.Tensor
        self.register_buffer("pivot_scores", torch.arange(pivots, dtype=torch.float64))
        self.register_buffer("score_range", torch.tensor([0.0, pivots - 1.0], dtype=torch.float64))
        self.register_buffer("auxiliary", torch.zeros(images - 1, channels))

    def forward(
        self, images: Sequence[torch.Tensor], groups: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Arrange groups of images of any shape, and the pivots beside each.

        Args:
            images: uint8 (3, h, w) each.
            groups: positions of the images of each group, int (b, n).

        Returns:
            embedding: of the images, float (b, n, c).
            pivots: float (b, m, c).
        """
        return self.arranged(self.encoder(images)[groups])

    def arranged(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pass groups of features, float (b, n, c), and the pivots through all transformers."""
        *_, last = self.arrangements(features)
        return last

    def arrangements(self, features: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return features (b, n, c) and pivots (b, m, c) after each transformer (figure 8)."""
        pivots, found = self.pivots[None], []
        for transformer in self.transformers:
            features, pivots = transformer(features, pivots)
            found.append((features, pivots))
        return found

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """Score images, uint8 (n, 3, h, w): float64 (n,), on the scale of the pivots' scores.

        Each is arranged with the auxiliary images alone, so that its score does not depend on the
        others.
        """
        return mirrored_scores(self.feature_scores, self.features(images))

    def features(self, images: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Encode images, and their mirror images where scores are averaged: float (n, k, c)."""
        return mirrored_features(self.encoder, images, self.flip)

    def in_company(self, features: torch.Tensor) -> torch.Tensor:
        """Put each image, by its features (n, c), last in a group with the auxiliary images."""
        company = self.auxiliary.to(features.dtype).expand(len(features), -1, -1)
        return torch.cat([company, features[:, None]], dim=1)

    def feature_scores(self, features: torch.Tensor) -> torch.Tensor:
        """Score images by their features, float (n, c): float64 (n,)."""
        embedding, pivots = self.arranged(self.in_company(features))
        return estimated_scores(embedding[:, -1:].double(), pivots.double(), self.pivot_scores)[
            :, 0
        ]


def build_qcn(
    backbone: EncoderName,
    *,
    weights: str,
    channels: int,
    pivots: int,
    images: int,
    transformers: int,
    layout: Layout,
    feed_forward: FeedForward,
    heads: int,
    feature_self_update: bool,
    pivot_self_update: bool,
    drop_path: float,
    frozen_statistics: bool,
    flip: Flip,
    seed: int,
) -> QCNNetwork:
    """Build a network on the CPU; the same arguments give the same weights every time.

    Args:
        backbone: "resnet18", "resnet50", "vgg16" or "efficientnet_lite0".
        weights: see `TorchvisionBackbone` and `EfficientNetLite0`.
        channels: length C of a token.
        pivots: M.
        images: N at test, the image to score and its auxiliary images.
        transformers: T.
        layout: of the transformers, as in the "paper" or in the authors' "code".
        feed_forward: φ of the "paper" layout.
        heads: of their attention.
        feature_self_update: FSU of Table 3.
        pivot_self_update: PSU of Table 3.
        drop_path: of the "code" layout.
        frozen_statistics: see `ImageEncoder`.
        flip: see `QCNNetwork`.
        seed: the run's seed; torch's global generators are neither read nor changed.

    Raises:
        ConfigError: weights that are unknown, unreadable or do not fit.
    """
    updates = {"feature_self_update": feature_self_update, "pivot_self_update": pivot_self_update}
    with seeded_initialisation(seed):
        encoder = build_encoder(backbone, weights, channels, frozen_statistics=frozen_statistics)
        made: list[ComparisonTransformer | AuthorsComparisonTransformer] = [
            ComparisonTransformer(channels, heads, feed_forward=feed_forward, **updates)
            if layout == "paper"
            else AuthorsComparisonTransformer(channels, heads, drop_path=drop_path, **updates)
            for _ in range(transformers)
        ]
        return QCNNetwork(encoder, made, pivots, images, flip)
