"""Networks of torchvision without their last layer."""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn

from rankloop.errors import ConfigError
from rankloop.models.weights import load_weights, read_weights

TorchvisionName = Literal["resnet18", "resnet50", "vgg16"]
MINIMUM_INPUT_SIZE = 32


@dataclass(frozen=True)
class _Architecture:
    """What differs between the networks.

    Attributes:
        features: length of the vector before the last layer.
        weights: torchvision's name of its ImageNet weights.
        last: name of the last layer in it.
        dense: names of the dense layers before that one.
    """

    features: int
    weights: str
    last: str
    dense: tuple[str, ...] = ()


_ARCHITECTURES: dict[TorchvisionName, _Architecture] = {
    "resnet18": _Architecture(512, "ResNet18_Weights.IMAGENET1K_V1", "fc"),
    "resnet50": _Architecture(2048, "ResNet50_Weights.IMAGENET1K_V2", "fc"),
    "vgg16": _Architecture(
        4096, "VGG16_Weights.IMAGENET1K_V1", "classifier.6", ("classifier.0", "classifier.3")
    ),
}


class TorchvisionBackbone(nn.Module):
    """A network up to its last layer: images (n, 3, s, s) to features (n, f).

    ResNet-18 (f = 512; SSRanking, section 4.1) and ResNet-50 (f = 2048) end in their average pool,
    VGG-16 (f = 4096; RankIQA) in its second dense layer with ReLU and dropout.

    Attributes:
        name: of the network.
        features: length f of the feature vector.
    """

    def __init__(self, name: TorchvisionName, weights: str = "none", input_size: int = 224) -> None:
        """Make the network and load its weights.

        Args:
            name: "resnet18", "resnet50" or "vgg16".
            weights: "none" (torchvision's random initialisation), "imagenet" (IMAGENET1K_V1, of
                ResNet-50 IMAGENET1K_V2, downloaded by torchvision and kept in its cache), or the
                path of a .safetensors file with torchvision's tensor names; its last layer is
                ignored.
            input_size: side s of the input in pixels, at least 32 (the network's stride). Nothing
                in the network depends on it.

        Raises:
            ConfigError: input_size is below 32, the download failed, or the file is missing, not a
                .safetensors file, or does not hold the tensors of this network.
        """
        super().__init__()
        if input_size < MINIMUM_INPUT_SIZE:
            raise ConfigError(
                f"input_size {input_size} is below {MINIMUM_INPUT_SIZE}, the stride of {name}: "
                "give a larger input_size"
            )
        # Seconds to import, which every process of a cluster would wait for.
        from torchvision import models

        self.name = name
        architecture = _ARCHITECTURES[name]
        self.features = architecture.features
        self.trunk = getattr(models, name)(weights=None)
        self.trunk.set_submodule(architecture.last, nn.Identity())
        if weights != "none":
            tensors = _imagenet(architecture) if weights == "imagenet" else read_weights(weights)
            load_weights(self.trunk, tensors, architecture.last, name, weights)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images, float (n, 3, s, s), to features, float (n, f)."""
        features: torch.Tensor = self.trunk(images)
        return features

    @property
    def dense_layers(self) -> list[nn.Linear]:
        """The dense layers before the last: none of a ResNet, fc6 and fc7 of VGG-16."""
        names = _ARCHITECTURES[self.name].dense
        return [cast(nn.Linear, self.trunk.get_submodule(name)) for name in names]


def _imagenet(architecture: _Architecture) -> dict[str, torch.Tensor]:
    from torchvision.models import get_weight

    source = get_weight(architecture.weights)
    try:
        tensors: dict[str, torch.Tensor] = source.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    # Connections, HTTP, the hash check and a damaged cache fail in unrelated ways; one remedy.
    except Exception as error:
        raise ConfigError(
            f"weights 'imagenet' could not be downloaded from {source.url} ({error}): give the "
            "path of a .safetensors file with them, or 'none'"
        ) from error
    return tensors
