"""The whole scorer: images in, one number for each out (SSRanking, section 3.1)."""

from typing import Literal, get_args

import torch
from torch import nn

from rankloop.errors import ConfigError
from rankloop.models.resnet import ResNet18
from rankloop.models.shallow import ShallowNetwork
from rankloop.randomness import derived_seed

Backbone = Literal["resnet18", "shallow"]

# Channel means and standard deviations of ImageNet in [0, 1], which torchvision's weights expect.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Scorer(nn.Module):
    """A backbone, dense layers and a sigmoid: uint8 images to scores in (0, 1).

    Attributes:
        higher_is_better: True: a higher score means a better (sharper) image.
        input_size: side in pixels of the centre crop that the backbone sees.
    """

    higher_is_better: bool = True

    def __init__(self, backbone: nn.Module, head: nn.Module, input_size: int) -> None:
        """Put a scorer together; ``build_scorer`` makes the parts.

        Args:
            backbone: normalised float (n, 3, input_size, input_size) to features (n, f).
            head: features (n, f) to (n, 1), before the sigmoid.
            input_size: side of the centre crop in pixels.
        """
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.input_size = input_size
        # In units of 0..255, which saves a pass over the pixels for the division.
        mean = 255.0 * torch.tensor(_IMAGENET_MEAN).view(3, 1, 1)
        std = 255.0 * torch.tensor(_IMAGENET_STD).view(3, 1, 1)
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score images.

        Args:
            images: uint8 (n, 3, h, w) in RGB, h and w at least ``input_size``; a larger image is
                centre-cropped, never resized.

        Returns:
            Float (n,) in (0, 1); far out, rounding gives 0 or 1 exactly. In evaluation mode the
            score of an image does not depend on the others.

        Raises:
            ValueError: another dtype, another shape, or an image smaller than ``input_size``.
        """
        scores: torch.Tensor = torch.sigmoid(self.head(self.backbone(self._prepared(images))))
        return scores.squeeze(1)

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"images are {images.dtype} of shape {tuple(images.shape)}: give uint8 (n, 3, h, w)"
            )
        height, width = images.shape[2:]
        size = self.input_size
        if height < size or width < size:
            raise ValueError(
                f"images of {height} x {width} pixels are smaller than input_size {size}: resize "
                "them to at least that, or build the scorer with a smaller input_size"
            )
        top, left = (height - size) // 2, (width - size) // 2
        cropped = images[:, :, top : top + size, left : left + size].to(self.mean.device)
        # Streams hold permuted (n, h, w, 3) images; kernels, and so the last digits of the scores,
        # would depend on the caller's strides without one fixed layout.
        return (cropped.contiguous().to(self.mean.dtype) - self.mean) / self.std


def build_scorer(
    backbone: Backbone, *, weights: str = "none", input_size: int = 224, seed: int
) -> Scorer:
    """Build a scorer on the CPU; the same arguments give the same weights every time.

    The paper does not publish its dense layers (section 3.1). Ours: Linear(512, 512), ReLU,
    Linear(512, 1) on resnet18; on the shallow network its own fc1, Linear(32, 1) (Table 5).

    Args:
        backbone: "resnet18" or "shallow".
        weights: "none", or for resnet18 also "imagenet" or the path of a .safetensors file (see
            ``ResNet18``); the dense layers always start at random.
        input_size: side in pixels of the centre crop that the backbone sees (paper: 224); at least
            32 for resnet18 and 43 for shallow.
        seed: the run's seed; torch's global generators are neither read nor changed.

    Raises:
        ConfigError: unknown backbone, input_size too small, or weights that are unknown, unreadable
            or do not fit.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # torch.manual_seed would also reseed the GPUs' generators.
        torch.default_generator.manual_seed(derived_seed(seed, "initialisation"))
        if backbone == "resnet18":
            network: nn.Module = ResNet18(weights, input_size)
            width = ResNet18.features
            head: nn.Module = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        elif backbone == "shallow":
            if weights != "none":
                raise ConfigError(
                    f"weights {weights!r} are not for the shallow network, which has no published "
                    "ones: give 'none', or backbone resnet18"
                )
            network = ShallowNetwork(input_size)
            head = nn.Linear(ShallowNetwork.features, 1)
        else:
            raise ConfigError(
                f"backbone {backbone!r} is unknown: give one of {', '.join(get_args(Backbone))}"
            )
    return Scorer(network, head, input_size)
