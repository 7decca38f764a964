"""The crowd density network (TPAMI paper, section 5.3)."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from rankloop.models.efficientnet_lite import STRIDE_16_CHANNELS, EfficientNetLite0
from rankloop.models.initialisation import seeded_initialisation
from rankloop.models.normalisation import Normalisation
from rankloop.models.torchvision_backbone import TorchvisionBackbone

# Pixels of an image per cell of its density map, of every backbone.
STRIDE = 16
DensityBackbone = Literal["vgg16", "vgg16_pool4", "resnet18", "efficientnet_lite0"]
# Pixels, a multiple of the stride, beyond which no cell of a map depends on the image.
_REACH: dict[DensityBackbone, int] = {
    "vgg16": 128,
    "vgg16_pool4": 80,
    "resnet18": 128,
    "efficientnet_lite0": 192,
}


class DensityNetwork(nn.Module):
    """Convolutions down to one cell per 16 x 16 pixels, and one more that gives people per cell.

    Attributes:
        higher_is_better: True: a higher count means more people.
        trunk: normalised float (n, 3, h, w) to features (n, c, h / 16, w / 16).
        density: the last convolution, 3 x 3.
        reach: see `_REACH`.
        tile_side: images with a longer side are estimated tile by tile, of so many pixels and what
            surrounds them.
    """

    higher_is_better: bool = True

    def __init__(
        self,
        trunk: nn.Module,
        channels: int,
        *,
        normalisation: Normalisation,
        reach: int,
        frozen_statistics: bool,
        tile_side: int,
    ) -> None:
        """Put it together; ``build_density_network`` makes the parts."""
        super().__init__()
        self.normalisation = normalisation
        self.trunk = trunk
        self.density = nn.Conv2d(channels, 1, 3, padding=1)
        # Ours, the paper does not say: begins near nobody, where 0.01 began with hundreds of people
        # too many.
        nn.init.normal_(self.density.weight, std=0.001)
        assert self.density.bias is not None
        nn.init.zeros_(self.density.bias)
        self.reach, self.tile_side = reach, tile_side
        self.frozen_statistics = frozen_statistics

    def train(self, mode: bool = True) -> "DensityNetwork":
        """Set training mode, of batch normalisation only where its statistics are not frozen."""
        super().train(mode)
        if self.frozen_statistics:
            self.trunk.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Estimate density maps.

        Args:
            images: uint8 (n, 3, h, w).

        Returns:
            Float (n, ceil(h / 16), ceil(w / 16)), people per cell. A cell beyond the border of the
            image covers what is left of it.
        """
        density: torch.Tensor = self.density(self._encoded(images)).squeeze(1)
        return density

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the mean of what the maps are made of: float (n, c), of images as `forward`."""
        return self._encoded(images).mean(dim=(2, 3))

    def _encoded(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[2:]
        normalised = self.normalisation(images)
        missing = (0, -width % STRIDE, 0, -height % STRIDE)
        if any(missing):
            normalised = functional.pad(normalised, missing)
        if normalised.device.type == "cpu":
            normalised = normalised.contiguous(memory_format=torch.channels_last)
        encoded: torch.Tensor = self.trunk(normalised)
        return encoded

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Return what `forward` does, a few images at a time, large ones tile by tile.

        Tiles see as much beyond their borders as can matter to them, so that the maps are the same.
        """
        height, width = images.shape[2:]
        if max(height, width) <= self.tile_side:
            at_once = max(1, self.tile_side**2 // (height * width))
            return torch.cat([self(some) for some in images.split(at_once)])
        return torch.cat([self._tiled(image) for image in images.split(1)])

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """Count people: float (n,), the sums of the `maps`, of images uint8 (n, 3, h, w).

        A fourth channel, (n, 4, h, w), is the region of interest: 0 where nobody is to be counted.
        """
        maps = self.maps(images[:, :3])
        if images.shape[1] == 4:
            maps = maps * cell_shares(images[:, 3])
        return maps.sum(dim=(1, 2))

    def _tiled(self, image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[2:]
        rows = []
        for top in range(0, height, self.tile_side):
            row = [self._tile(image, top, left) for left in range(0, width, self.tile_side)]
            rows.append(torch.cat(row, dim=2))
        return torch.cat(rows, dim=1)

    def _tile(self, images: torch.Tensor, top: int, left: int) -> torch.Tensor:
        height, width = images.shape[2:]
        above, before = min(top, self.reach), min(left, self.reach)
        bottom = min(top + self.tile_side, height)
        right = min(left + self.tile_side, width)
        seen = images[:, :, top - above : bottom + self.reach, left - before : right + self.reach]
        density = self(seen)
        first, start = above // STRIDE, before // STRIDE
        rows, columns = -(-(bottom - top) // STRIDE), -(-(right - left) // STRIDE)
        return density[:, first : first + rows, start : start + columns]


def cell_shares(mask: torch.Tensor) -> torch.Tensor:
    """Return which share of each cell is not 0 in a mask, uint8 (n, h, w): float (n, h', w').

    Of a cell beyond the border of the image, of what is left of it.
    """
    height, width = mask.shape[1:]
    beyond = (0, -width % STRIDE, 0, -height % STRIDE)
    inside = functional.avg_pool2d(functional.pad((mask != 0).float(), beyond), STRIDE)
    whole = functional.avg_pool2d(functional.pad(torch.ones_like(mask).float(), beyond), STRIDE)
    return inside / whole


def build_density_network(
    backbone: DensityBackbone,
    *,
    weights: str,
    frozen_statistics: bool,
    tile_side: int,
    seed: int,
) -> DensityNetwork:
    """Build a network on the CPU; the same arguments give the same weights every time.

    Args:
        backbone: "vgg16" to conv5 without the last pool (section 5.3); "vgg16_pool4", to pool4
            (6.2.2, for UCSD); "resnet18" to its third stage; "efficientnet_lite0" to its fifth.
        weights: see `TorchvisionBackbone` and `EfficientNetLite0`.
        frozen_statistics: keep batch normalisation as the weights have it, also in training.
        tile_side: see `DensityNetwork`; a multiple of 16.
        seed: the run's seed; torch's global generators are neither read nor changed.

    Raises:
        ConfigError: weights that are unknown, unreadable or do not fit.
    """
    normalisation = Normalisation()
    with seeded_initialisation(seed):
        if backbone == "efficientnet_lite0":
            network = EfficientNetLite0(weights)
            normalisation = Normalisation(network.mean, network.std)
            trunk, channels = network.before_last_stages(), STRIDE_16_CHANNELS
        elif backbone == "resnet18":
            whole = TorchvisionBackbone("resnet18", weights).trunk
            names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
            trunk, channels = nn.Sequential(*(whole.get_submodule(name) for name in names)), 256
        else:
            # Without the last pool, or up to the fourth.
            layers = 30 if backbone == "vgg16" else 24
            whole = TorchvisionBackbone("vgg16", weights).trunk
            trunk, channels = whole.get_submodule("features")[:layers], 512
        return DensityNetwork(
            trunk,
            channels,
            normalisation=normalisation,
            reach=_REACH[backbone],
            frozen_statistics=frozen_statistics,
            tile_side=tile_side,
        )
