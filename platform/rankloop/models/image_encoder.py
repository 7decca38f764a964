"""Images of any shape to features: the encoder of QCN and of GOL."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from rankloop.models.efficientnet_lite import EfficientNetLite0
from rankloop.models.normalisation import Normalisation
from rankloop.models.torchvision_backbone import TorchvisionBackbone, TorchvisionName

# At once on a CPU, where more leaves its caches: two images of 384 x 512 pixels take ResNet-50 0.6
# times as long each as 32 of them.
_PIXELS = 2**19
# Networks that take images of any shape.
EncoderName = Literal[TorchvisionName, "efficientnet_lite0"]


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
        self,
        backbone: TorchvisionBackbone | EfficientNetLite0,
        channels: int,
        *,
        frozen_statistics: bool,
    ) -> None:
        """Put a backbone and a new projection together."""
        super().__init__()
        self.normalisation = (
            Normalisation(backbone.mean, backbone.std)
            if isinstance(backbone, EfficientNetLite0)
            else Normalisation()
        )
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
        near the border, and so the features of an image with the shapes of the others. Only
        batch normalisation that learns has to see all images of a step at once: then the middle of
        each is taken, as high and as wide as the least of them.

        Args:
            images: uint8 (n, 3, h, w), or (3, h, w) each.

        Returns:
            Float (n, channels).
        """
        if isinstance(images, torch.Tensor):
            return self._encoded(images)
        if self.backbone.training:
            return self._encoded(_middles(images))
        places: dict[torch.Size, list[int]] = {}
        for place, image in enumerate(images):
            places.setdefault(image.shape, []).append(place)
        encoded = [
            self._encoded(torch.stack([images[i] for i in some])) for some in places.values()
        ]
        order = torch.tensor([i for some in places.values() for i in some])
        return torch.cat(encoded)[order.argsort().to(encoded[0].device)]

    def _encoded(self, images: torch.Tensor) -> torch.Tensor:
        parts = [images]
        on_cpu = self.projection.weight.device.type == "cpu"
        if on_cpu and not self.backbone.training:
            parts = list(images.split(max(1, _PIXELS // images[0, 0].numel())))
        features = [self.backbone(self._prepared(part, on_cpu)) for part in parts]
        projected: torch.Tensor = self.projection(torch.cat(features))
        return projected

    def _prepared(self, images: torch.Tensor, on_cpu: bool) -> torch.Tensor:
        normalised: torch.Tensor = self.normalisation(images)
        return normalised.to(memory_format=torch.channels_last) if on_cpu else normalised


def _middles(images: Sequence[torch.Tensor]) -> torch.Tensor:
    """Cut the middle out of images (3, h, w) of any shape: (n, 3, least h, least w)."""
    height, width = (min(image.shape[axis] for image in images) for axis in (1, 2))
    cut = []
    for image in images:
        top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
        cut.append(image[:, top : top + height, left : left + width])
    return torch.stack(cut)


def build_encoder(
    name: EncoderName, weights: str, channels: int, *, frozen_statistics: bool
) -> ImageEncoder:
    """Build an encoder from torch's global generator.

    Raises:
        ConfigError: weights that are unknown, unreadable or do not fit.
    """
    backbone = (
        EfficientNetLite0(weights)
        if name == "efficientnet_lite0"
        else TorchvisionBackbone(name, weights)
    )
    return ImageEncoder(backbone, channels, frozen_statistics=frozen_statistics)
