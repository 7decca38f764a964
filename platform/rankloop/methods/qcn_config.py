"""Hyperparameters of QCN."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, model_validator

from rankloop.losses.pivot_center import Reduction
from rankloop.losses.pivot_order import OrderLoss
from rankloop.models.comparison_transformer import FeedForward
from rankloop.models.image_encoder import EncoderName
from rankloop.models.mirror import Flip
from rankloop.models.qcn import Layout

Quantisation = Literal["lloyd_max", "lloyd_max_pinned", "uniform"]
Batches = Literal["intervals", "code"]
MAEUnit = Literal["range", "raw"]
Objective = Literal["comparison", "regression"]
MetricPairs = Literal["all", "random"]
Weight = Annotated[float, Ge(0.0), Le(1000.0)]


class QCNConfig(BaseModel):
    """Hyperparameters of QCN; "code" is the authors', "ours" what neither it nor the paper says."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    objective: Objective = "comparison"
    """What is learned: "comparison" (QCN), or plain "regression" of the same encoder by the MAE
    loss on the same lists, to compare with; all about pivots and transformers is idle then."""
    backbone: EncoderName = "resnet50"
    """Network that turns an image into features. Section 3.2: ResNet-50."""
    weights: str = "imagenet"
    """Initial weights: "imagenet" (section 4.1; torchvision downloads them), a .safetensors file,
    or "none"."""
    short_side: Annotated[int, Ge(32), Le(4096)] = 384
    """Pixels of an image's shorter side, its aspect ratio kept; of one more than twice as long as
    wide the middle is taken. Section 4.1: 384."""
    channels: Annotated[int, Ge(2), Le(4096)] = 256
    """Length C of a token. Code: 256."""
    pivots: Annotated[int, Ge(3), Le(10_000)] = 101
    """Number M of score pivots. Section 4.1: 101."""
    quantisation: Quantisation = "lloyd_max"
    """Scores of the pivots: "lloyd_max" (section 4.1), "lloyd_max_pinned" (the first and the last
    are the lowest and the highest score; code: 0 and 100, and all rounded to hundredths), or
    "uniform" (Table 7)."""
    images: Annotated[int, Ge(1), Le(1000)] = 18
    """Number N of images that are compared: at test the one to score and N - 1 auxiliary ones.
    Section 4.1: 18."""
    images_per_group: Annotated[int, Ge(1), Le(100)] = 1
    """Images of each of N groups of scores that training compares in one list. Code: 2."""
    lists: Annotated[int, Ge(1), Le(10_000)] = 3
    """Lists of images per step. Section 4.1: 54 images, 3 lists of 18. Code: 1."""
    repeats: Annotated[int, Ge(1), Le(100)] = 1
    """How often the transformers see each list, in random orders. Code: 9."""
    batches: Batches = "intervals"
    """Groups of scores that lists are drawn from: "intervals", even ones of the range, as section
    3.5 takes auxiliary images; or "code", with equally many different scores, after 5 % of the
    steps N of 3 N such groups."""
    auxiliary: Batches = "intervals"
    """Groups that auxiliary images are drawn from, one from each: "intervals" (section 3.5), or
    "code", with equally many different scores."""
    transformers: Annotated[int, Ge(1), Le(20)] = 3
    """Number T of comparison transformers. Section 3.2: 3."""
    layout: Layout = "paper"
    """Transformers as in section 3.3, or as in the authors' "code", where they differ much: see
    `rankloop.models.authors_transformer`."""
    feed_forward: FeedForward = "residual"
    """φ of eq. 5 to 9 in the "paper" layout: "residual", normalised and added to its input; or
    "plain", as the text says, which does not learn."""
    heads: Annotated[int, Ge(1), Le(64)] = 1
    """Attentions side by side. Section 3.3: 1. Code: 8."""
    feature_self_update: bool = True
    """FSU of Table 3."""
    pivot_self_update: bool = True
    """PSU of Table 3."""
    drop_path: Annotated[float, Ge(0.0), Lt(1.0)] = 0.1
    """Probability that training leaves out a residual branch of the "code" layout. Code: 0.1."""
    frozen_statistics: bool | None = None
    """Keep the backbone's batch normalisation as the weights have it. Code: it is kept. By default
    so too, but with weights "none", where it is learned."""
    flip: Flip = "scores"
    """What is averaged over an image and its mirror image: "scores" (section 4.1), "features"
    (code), or "none"."""
    order_weight: Weight = 1.0
    """Weight of the order loss in eq. 14; 0 leaves a loss out."""
    metric_weight: Weight = 1.0
    """Weight of the metric loss in eq. 14."""
    center_weight: Weight = 1.0
    """Weight of the center loss in eq. 14."""
    mae_weight: Weight = 1.0
    """Weight of the MAE loss in eq. 14."""
    mae_unit: MAEUnit = "range"
    """Unit of the MAE loss: hundredths of the "range" of the training scores, so that scores of 0
    to 1 are learned as those of 0 to 100; or "raw" (code)."""
    order_loss: OrderLoss = "sum"
    """"sum" (eq. 11) or "mean_with_ends" (code)."""
    center_reduction: Reduction = "sum"
    """"sum" (eq. 13) or "mean" (code) over the images of a list."""
    metric_pairs: MetricPairs = "all"
    """Pairs of images of a list in the metric loss: "all", or a "random" partner each (code)."""
    metric_similar: bool = True
    """Whether images with one score are constrained, as in GOL. Code: they are not."""
    margin: Annotated[float, Ge(0.0), Le(100.0)] = 0.1
    """Margin γ of the metric loss, in Euclidean distances of tokens. Code: 0.1."""
    mae_start: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """Share of the steps before the MAE loss is added. Code: 0.1 (of 100 epochs 9)."""
    learning_rate: Annotated[float, Gt(0.0), Le(10.0)] = 5e-5
    """Initial rate of AdamW, which falls along a cosine. Section 4.1: 5e-5."""
    backbone_rate_factor: Annotated[float, Ge(0.0), Le(1000.0)] = 1.0
    """Rate of the backbone over that of the others. Ours; below 1, ImageNet weights are not lost
    while a budget of few steps has pivots to arrange first; 0 keeps them, in a third of the
    time."""
    warm_up: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """Share of the steps in which the rate rises to its initial value. Code: 0.05."""
    weight_decay: Annotated[float, Ge(0.0), Le(1.0)] = 0.0005
    """Weight decay of AdamW. Section 4.1."""
    steps: Annotated[int, Ge(1), Le(100_000_000)] = 15_000
    """Training budget in optimiser steps. Code: 100 epochs of 150."""

    @model_validator(mode="after")
    def _consistent(self) -> "QCNConfig":
        unit = self.heads if self.layout == "paper" else 2 * self.heads
        if self.channels % unit:
            raise ValueError(
                f"channels {self.channels} cannot be divided among {self.heads} heads of the "
                f"{self.layout!r} layout: give a multiple of {unit}"
            )
        if self.objective == "regression" and not self.mae_weight:
            raise ValueError("mae_weight 0 leaves nothing to learn for regression: give more")
        weights = (self.order_weight, self.metric_weight, self.center_weight, self.mae_weight)
        if not any(weights):
            raise ValueError("all four loss weights are 0: give at least one of them a weight")
        if not any(weights[:3]) and self.mae_start:
            raise ValueError(
                f"mae_start {self.mae_start} leaves the first steps without a loss: give 0, or "
                "another loss a weight"
            )
        return self

    @property
    def keeps_statistics(self) -> bool:
        """Whether the backbone's batch normalisation is kept."""
        given = self.frozen_statistics
        return self.weights != "none" if given is None else given

    @property
    def input_size(self) -> int:
        """Side in pixels of the squares by which certainty is measured."""
        return self.short_side
