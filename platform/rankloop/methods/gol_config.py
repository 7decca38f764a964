"""Hyperparameters of GOL."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict

from rankloop.models.image_encoder import EncoderName

Augmentation = Literal["none", "code"]


class GOLConfig(BaseModel):
    """Hyperparameters of GOL for quality, as QCN's Table 8 compares it.

    "Code" is its authors' for ages, "as QCN" what it shares with QCN, "ours" the rest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backbone: EncoderName = "resnet50"
    """Network that turns an image into features. As QCN. Code: VGG-16 with batch normalisation."""
    weights: str = "imagenet"
    """Initial weights: "imagenet" (torchvision downloads them), a .safetensors file, or "none"."""
    short_side: Annotated[int, Ge(32), Le(4096)] = 384
    """Pixels of an image's shorter side, its aspect ratio kept; of one more than twice as long as
    wide the middle is taken. As QCN. Code: 256, and squares of 224."""
    augmentation: Augmentation = "none"
    """What training makes of an image: "none", as QCN; or "code", a random square of 7/8 of the
    shorter side, mirrored half the time."""
    channels: Annotated[int, Ge(2), Le(4096)] = 512
    """Length of the embedding. Code: 512."""
    references: Annotated[int, Ge(2), Le(10_000)] = 60
    """Number of reference points, and of the ranks that scores are rounded to. Code: 60."""
    images: Annotated[int, Ge(2), Le(100_000)] = 32
    """Labelled images per step. Code: 32."""
    margin: Annotated[float, Ge(0.0), Le(2.0)] = 0.25
    """Margin γ of the metric loss, in distances of unit vectors. Code: 0.25."""
    threshold: Annotated[int, Ge(0), Le(10_000)] = 1
    """Difference τ in ranks up to which two images are alike to the metric loss. Code: 1."""
    pairs: Annotated[int, Ge(1), Le(1_000_000)] = 32
    """Most pairs per step of images whose first is higher, whose second is, and that are alike.
    Code: 32."""
    neighbours: Annotated[int, Ge(0), Le(100_000)] = 0
    """Nearest training images whose mean score is the score of an image; 0 for 2, 4 ... 58,
    whichever has the least mean error on validation images. Code: the best on the test images."""
    frozen_statistics: bool = False
    """Keep the backbone's batch normalisation as the weights have it. Code: it is learned."""
    learning_rate: Annotated[float, Gt(0.0), Le(10.0)] = 1e-4
    """Initial rate of Adam, which falls along a cosine to a thousandth. Code: 1e-4."""
    weight_decay: Annotated[float, Ge(0.0), Le(1.0)] = 0.0005
    """Weight decay of Adam. Code."""
    steps: Annotated[int, Ge(1), Le(100_000_000)] = 15_000
    """Training budget in optimiser steps. As QCN."""

    @property
    def input_size(self) -> int:
        """Side in pixels of the squares by which certainty is measured."""
        return self.short_side
