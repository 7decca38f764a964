"""The whole scorer: images in, one number for each out."""

from typing import Literal, cast, get_args

import torch
from torch import nn

from rankloop.errors import ConfigError
from rankloop.models import shallow, torchvision_backbone
from rankloop.models.initialisation import seeded_initialisation
from rankloop.models.normalisation import Normalisation, check_batch
from rankloop.models.score_scale import ScoreScale
from rankloop.models.shallow import ShallowNetwork
from rankloop.models.torchvision_backbone import TorchvisionBackbone, TorchvisionName

Backbone = Literal[TorchvisionName, "shallow"]
# Side in pixels of the smallest input.
SMALLEST_INPUT: dict[Backbone, int] = {
    **dict.fromkeys(get_args(TorchvisionName), torchvision_backbone.MINIMUM_INPUT_SIZE),
    "shallow": shallow.MINIMUM_INPUT_SIZE,
}


class Scorer(nn.Module):
    """A backbone, dense layers and an output function: uint8 images to scores.

    Attributes:
        higher_is_better: True: a higher score means a better image.
        input_size: side in pixels of the centre crop that the backbone sees.
    """

    higher_is_better: bool = True

    def __init__(
        self, backbone: nn.Module, head: nn.Module, output: nn.Module, input_size: int
    ) -> None:
        """Put a scorer together; ``build_scorer`` makes the parts.

        Args:
            backbone: normalised float (n, 3, input_size, input_size) to features (n, f).
            head: features (n, f) to outputs (n, 1).
            output: outputs (n,) to scores (n,).
            input_size: side of the centre crop in pixels.
        """
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.output = output
        self.input_size = input_size
        self.normalisation = Normalisation()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score images.

        Args:
            images: uint8 (n, 3, h, w) in RGB, h and w at least ``input_size``; a larger image is
                centre-cropped, never resized.

        Returns:
            Float (n,). In evaluation mode the score of an image does not depend on the others.

        Raises:
            ValueError: another dtype, another shape, or an image smaller than ``input_size``.
        """
        scores: torch.Tensor = self.output(self.head(self.features(images)).squeeze(1))
        return scores

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the head sees of images as `forward` takes them: float (n, f)."""
        features: torch.Tensor = self.backbone(self.normalisation(self._cropped(images)))
        return features

    def _cropped(self, images: torch.Tensor) -> torch.Tensor:
        check_batch(images)
        height, width = images.shape[2:]
        size = self.input_size
        if height < size or width < size:
            raise ValueError(
                f"images of {height} x {width} pixels are smaller than input_size {size}: resize "
                "them to at least that, or build the scorer with a smaller input_size"
            )
        top, left = (height - size) // 2, (width - size) // 2
        return images[:, :, top : top + size, left : left + size]


def build_scorer(
    backbone: Backbone,
    *,
    output: Literal["sigmoid", "scale"],
    weights: str = "none",
    input_size: int = 224,
    seed: int,
) -> Scorer:
    """Build a scorer on the CPU; the same arguments give the same weights every time.

    SSRanking does not publish the dense layers that end in its sigmoid (section 3.1). Ours:
    Linear(f, f), ReLU, Linear(f, 1) on torchvision's networks. RankIQA ends in one linear layer
    (TPAMI paper, section 4.3), as the shallow network always does (supplement, Table 5).

    Args:
        backbone: "resnet18", "resnet50", "vgg16" or "shallow".
        output: "sigmoid" for scores in (0, 1), where rounding gives 0 or 1 exactly far out;
            "scale" for scores on the scale of the labels (see `ScoreScale`).
        weights: "none", or for torchvision's networks also "imagenet" or the path of a .safetensors
            file (see `TorchvisionBackbone`); what comes after always starts at random.
        input_size: side in pixels of the centre crop that the backbone sees (papers: 224); at least
            32, and 43 for shallow.
        seed: the run's seed; torch's global generators are neither read nor changed.

    Raises:
        ConfigError: unknown backbone, input_size too small, or weights that are unknown, unreadable
            or do not fit.
    """
    if backbone not in SMALLEST_INPUT:
        raise ConfigError(
            f"backbone {backbone!r} is unknown: give one of {', '.join(SMALLEST_INPUT)}"
        )
    with seeded_initialisation(seed):
        if backbone == "shallow":
            if weights != "none":
                raise ConfigError(
                    f"weights {weights!r} are not for the shallow network, which has no published "
                    "ones: give 'none', or another backbone"
                )
            network: ShallowNetwork | TorchvisionBackbone = ShallowNetwork(input_size)
        else:
            network = TorchvisionBackbone(backbone, weights, input_size)
        width = network.features
        if output == "sigmoid" and backbone != "shallow":
            head: nn.Module = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        else:
            head = nn.Linear(width, 1)
    return Scorer(network, head, nn.Sigmoid() if output == "sigmoid" else ScoreScale(), input_size)


@torch.inference_mode()
def predicted_scores(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return scores, float32 (n,), of images uint8 (n, 3, h, w), without gradients."""
    scores: torch.Tensor = model(images)
    return scores.float()


@torch.inference_mode()
def predicted_features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return features, float32 (n, f), of images as `predicted_scores` takes them."""
    return cast(Scorer, model).features(images).float()
