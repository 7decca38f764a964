"""Hyperparameters of crowd counting."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, model_validator

from rankloop.models.density import STRIDE, DensityBackbone
from rankloop.ranking.nested_crops import CROPS, REGION, SCALE

Objective = Literal["multi_task", "counting", "ranking_then_counting"]
PairSampling = Literal["efficient", "random", "hard"]


class CountingConfig(BaseModel):
    """Hyperparameters of counting by ranking; "ours" marks what the paper does not publish."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backbone: DensityBackbone = "vgg16"
    """Convolutions before the density map: "vgg16" to conv5 without the last pool (5.3),
    "vgg16_pool4" to pool4 (6.2.2, for UCSD), or a smaller network."""
    weights: str = "imagenet"
    """Initial weights: "imagenet" (torchvision downloads them), a .safetensors file, or "none"
    (basic network of Table 5)."""
    input_size: Annotated[int, Ge(32), Le(4096)] = 224
    """Side in pixels of the patches and crops that the network is trained with, a multiple of 16.
    As RankIQA; UCSD 112 (6.2.2)."""
    objective: Objective = "multi_task"
    """What is minimised: "multi_task" (eq. 5), "counting" (without unlabelled images), or
    "ranking_then_counting" (Ranking+FT of Table 5)."""
    pairs: PairSampling = "efficient"
    """Pairs of nested crops: "efficient" (all pairs of whole sets, eq. 8 to 14), "random" pairs, or
    the "hard" ones of them (Table 5). All pass ranked_images through the network."""
    ranking_weight: Annotated[float, Gt(0.0), Le(1e6)] = 100.0
    """Weight λ of the ranking loss in eq. 5. Section 6.2: 100."""
    margin: Annotated[float, Ge(0.0), Le(1e4)] = 0.0
    """Margin ε of eq. 4, in people. Ours: crops may hold the same people."""
    crops_from: Literal["unlabelled", "all"] = "unlabelled"
    """Training photographs that nested crops are made of: those without head points (all where all
    have them), or "all" in any case."""
    crops: Annotated[int, Ge(2), Le(100)] = CROPS
    """Number k of nested crops (Algorithm 2). Section 6.2: 5."""
    crop_scale: Annotated[float, Gt(0.0), Lt(1.0)] = SCALE
    """Side s of a crop over that of the one around it (Algorithm 2). Section 6.2: 0.75."""
    anchor_region: Annotated[float, Ge(1.0), Le(1000.0)] = REGION
    """r: the centre of the crops is in the middle 1/r of the image (Algorithm 2). 6.2: 8."""
    multi_scale: bool = True
    """Whether labelled patches are of many sizes, resized with their count kept (5.3); else all
    have input_size pixels. Ours: the paper's rows before multi-scale take whole images, of which it
    does not say how large they are. Its resampling (6.2: three scales down and one up on UCF_CC_50,
    one up on ShanghaiTech), of which it names no scale, is left out."""
    least_patch: Annotated[int, Ge(16), Le(4096)] = 56
    """Side in pixels of the smallest patch. Section 5.3: 56."""
    most_patch: Annotated[int, Ge(16), Le(8192)] = 448
    """Side in pixels of the largest patch. Section 5.3: 448."""
    sigma: Annotated[float, Gt(0.0), Le(1000.0)] = 15.0
    """Standard deviation of a head in the density map, in pixels of the image. 5.1: 15."""
    labelled_images: Annotated[int, Ge(1), Le(1_000_000)] = 25
    """Labelled patches per step. Section 6.2: 25."""
    ranked_images: Annotated[int, Ge(2), Le(1_000_000)] = 25
    """Nested crops per step, as many of them as make whole sets or pairs. Section 6.2: 25."""
    hard_pairs: Annotated[int, Ge(1), Le(1_000_000)] = 3
    """With "hard" pairs, how many of the hardest are learned from at first, of those of each
    data-parallel worker. Ours."""
    hard_pairs_every: Annotated[int, Ge(1), Le(100_000_000)] = 5000
    """Steps after which hard_pairs more of them are learned from. As for image quality (6.1.1)."""
    frozen_statistics: bool | None = None
    """Keep the backbone's batch normalisation, if it has one, as the weights have it. By default
    so, but with weights "none". Ours; VGG-16 has none."""
    learning_rate: Annotated[float, Gt(0.0), Le(10.0)] = 1e-6
    """Initial rate of SGD, also of ranking before counting. Section 6.2: 1e-6."""
    learning_rate_drops: Annotated[int, Ge(0), Le(100)] = 1
    """How often, evenly over each phase, the rate falls to a tenth. Section 6.2: every 5,000 of
    10,000 steps."""
    counting_share: Annotated[float, Gt(0.0), Lt(1.0)] = 0.5
    """Share of the steps of "ranking_then_counting" that are counting. Ours: the paper does not say
    whether ranking comes on top."""
    momentum: Annotated[float, Ge(0.0), Lt(1.0)] = 0.9
    """Momentum of SGD. Ours."""
    weight_decay: Annotated[float, Ge(0.0), Le(1.0)] = 0.0005
    """Weight decay of SGD. Section 6.2."""
    tile_side: Annotated[int, Ge(STRIDE), Le(65_536)] = 1024
    """Images with a longer side are counted tile by tile, of so many pixels, a multiple of 16, and
    what surrounds them: the same count with less memory (vgg16 takes about 1 GB per image at a time
    with tiles of 1024)."""
    steps: Annotated[int, Ge(1), Le(100_000_000)] = 10_000
    """Training budget in optimiser steps, both phases together. Section 6.2: 10,000."""

    @model_validator(mode="after")
    def _consistent(self) -> "CountingConfig":
        for name in ("input_size", "tile_side"):
            if getattr(self, name) % STRIDE:
                raise ValueError(f"{name} {getattr(self, name)} must be a multiple of {STRIDE}")
        if self.least_patch > self.most_patch:
            raise ValueError(
                f"least_patch {self.least_patch} is above most_patch {self.most_patch}: give a "
                "range, such as 56 to 448"
            )
        if self.pairs == "efficient" and self.ranked_images < self.crops:
            raise ValueError(
                f"ranked_images {self.ranked_images} hold no set of {self.crops} crops: give at "
                f"least {self.crops}"
            )
        if self.objective == "ranking_then_counting" and self.steps < 2:
            raise ValueError("steps 1 are too few for ranking and then counting: give at least 2")
        return self

    @property
    def keeps_statistics(self) -> bool:
        """Whether the backbone's batch normalisation is kept."""
        given = self.frozen_statistics
        return self.weights != "none" if given is None else given

    @property
    def ranking_steps(self) -> int:
        """Steps before counting begins; the other objectives have one phase."""
        if self.objective != "ranking_then_counting":
            return 0
        return max(1, self.steps - max(1, round(self.counting_share * self.steps)))
