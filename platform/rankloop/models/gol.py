"""The network of geometric order learning (GOL): unit vectors, scored by their neighbours."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rankloop.models.image_encoder import EncoderName, ImageEncoder, build_encoder
from rankloop.models.initialisation import seeded_initialisation


class GOLNetwork(nn.Module):
    """An encoder to unit vectors, and learned reference points on the same sphere.

    Attributes:
        higher_is_better: True: a higher score means a better image.
        encoder: images to features (n, c), before their length becomes 1.
        references: learned, float (m, c), before their length becomes 1, in the order of ranks.
        neighbours: embedding of the training images, float (n, c); set after training.
        neighbour_scores: of the training images, float64 (n,).
        k: how many neighbours' scores are averaged, int64 ().
    """

    higher_is_better: bool = True

    def __init__(self, encoder: ImageEncoder, references: int) -> None:
        """Put it together; ``build_gol`` makes the parts."""
        super().__init__()
        self.encoder = encoder
        self.references = nn.Parameter(
            functional.normalize(torch.randn(references, encoder.channels), dim=1)
        )
        self.neighbours: torch.Tensor
        self.neighbour_scores: torch.Tensor
        self.k: torch.Tensor
        self.register_buffer("neighbours", torch.zeros(0, encoder.channels))
        self.register_buffer("neighbour_scores", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("k", torch.ones((), dtype=torch.int64))

    def forward(
        self, images: torch.Tensor | Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed images of any shape.

        Args:
            images: uint8 (n, 3, h, w), or (3, h, w) each.

        Returns:
            embedding: float (n, c), of length 1 each.
            references: float (m, c), of length 1 each.
        """
        return self.embedding(images), functional.normalize(self.references, dim=1)

    def embedding(self, images: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Return unit vectors, float (n, c), of images as `forward` takes them."""
        return functional.normalize(self.encoder(images), dim=1)

    def remember(self, embedding: torch.Tensor, scores: torch.Tensor) -> None:
        """Keep the training images' embedding, float (n, c), and scores, float (n,)."""
        if self.neighbours.shape != embedding.shape:
            self.neighbours = torch.empty_like(embedding)
            self.neighbour_scores = torch.empty(
                len(scores), dtype=torch.float64, device=embedding.device
            )
        self.neighbours.copy_(embedding)
        self.neighbour_scores.copy_(scores)

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """Score images, uint8 (n, 3, h, w), by their k nearest neighbours: float64 (n,)."""
        return self.neighbour_means(self.embedding(images), [int(self.k)])[0]

    def neighbour_means(self, embedding: torch.Tensor, counts: Sequence[int]) -> list[torch.Tensor]:
        """Return the mean scores of so many nearest training images, float64 (n,) per count."""
        counts = [min(count, len(self.neighbours)) for count in counts]
        distances = torch.cdist(embedding.double(), self.neighbours.double())
        nearest = distances.topk(max(counts), dim=1, largest=False).indices
        scores = self.neighbour_scores[nearest]
        return [scores[:, :count].mean(dim=1) for count in counts]

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # A new network does not know how many training images there were.
        for name in ("neighbours", "neighbour_scores"):
            if prefix + name in state:
                own = getattr(self, name)
                setattr(self, name, own.new_empty(state[prefix + name].shape))
        super()._load_from_state_dict(state, prefix, *rest)


def build_gol(
    backbone: EncoderName,
    *,
    weights: str,
    channels: int,
    references: int,
    frozen_statistics: bool,
    seed: int,
) -> GOLNetwork:
    """Build a network on the CPU; the same arguments give the same weights every time.

    Args:
        backbone: "resnet18", "resnet50", "vgg16" or "efficientnet_lite0".
        weights: see `TorchvisionBackbone` and `EfficientNetLite0`.
        channels: length of the embedding.
        references: number of reference points.
        frozen_statistics: see `ImageEncoder`.
        seed: the run's seed; torch's global generators are neither read nor changed.

    Raises:
        ConfigError: weights that are unknown, unreadable or do not fit.
    """
    with seeded_initialisation(seed):
        encoder = build_encoder(backbone, weights, channels, frozen_statistics=frozen_statistics)
        return GOLNetwork(encoder, references)
