"""Images of any shape to features: the encoder of QCN and of GOL."""

from collections.abc import Sequence

import torch
from torch import nn

from rankloop.models.normalisation import ImageNetNormalisation
from rankloop.models.torchvision_backbone import TorchvisionBackbone


class ImageEncoder(nn.Module):
    """A backbone and a projection of its features.

    The authors' code projects every position by a 1 x 1 convolution and then takes the mean over
    positions; a linear map of the mean, as here, is the same.

    Attributes:
        channels: length of the features.
        frozen_statistics: whether the backbone's batch normalisation keeps its statistics, and its
            dropout is off, also in training, as in the authors' code.
    """

    def __init__(
        self, backbone: TorchvisionBackbone, channels: int, *, frozen_statistics: bool
    ) -> None:
        """Put a backbone and a new projection together."""
        super().__init__()
        self.normalisation = ImageNetNormalisation()
        self.backbone = backbone
        self.projection = nn.Linear(backbone.features, channels)
        nn.init.normal_(self.projection.weight, std=0.01)
        nn.init.zeros_(self.projection.bias)
        self.channels = channels
        self.frozen_statistics = frozen_statistics

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Set training mode, of the backbone only where its statistics are not frozen."""
        super().train(mode)
        if self.frozen_statistics:
            self.backbone.eval()
        return self

    def forward(self, images: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Encode images, each as it is: those of one shape together, and shape by shape.

        Padding would be cheaper where all shapes differ, but zeros change what convolutions see
        near the border, and so the features of an image with the shapes of the others.

        Args:
            images: uint8 (n, 3, h, w), or (3, h, w) each.

        Returns:
            Float (n, channels).
        """
        if isinstance(images, torch.Tensor):
            return self._encoded(images)
        places: dict[torch.Size, list[int]] = {}
        for place, image in enumerate(images):
            places.setdefault(image.shape, []).append(place)
        encoded = [
            self._encoded(torch.stack([images[i] for i in some])) for some in places.values()
        ]
        order = torch.tensor([i for some in places.values() for i in some])
        return torch.cat(encoded)[order.argsort().to(encoded[0].device)]

    def _encoded(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.projection(self.backbone(self.normalisation(images)))
        return features
