"""Hyperparameters of RankIQA."""

import difflib
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from rankloop.distortions import DISTORTIONS, RANKIQA_TID2013
from rankloop.errors import ConfigError
from rankloop.models.scorer import SMALLEST_INPUT, Backbone

Objective = Literal["multi_task", "regression", "ranking", "ranking_then_regression"]
PairSampling = Literal["efficient", "random", "hard"]


class RankIQAConfig(BaseModel):
    """Hyperparameters of RankIQA; "ours" marks defaults that the papers do not publish."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backbone: Backbone = "vgg16"
    """Network that turns an image into features. TPAMI paper 4.3: VGG-16; supplement, Table 5: the
    shallow network."""
    weights: str = "imagenet"
    """Initial weights: "imagenet" (6.1.1; torchvision downloads them), a .safetensors file, or
    "none". The shallow network has none published and starts at random with "imagenet", too."""
    input_size: Annotated[int, Ge(32), Le(4096)] = 224
    """Side in pixels of the sub-images that the network sees, at the image's own scale; larger
    images are shrunk until it is a third of their longer side. TPAMI paper 4.3: 224."""
    objective: Objective = "multi_task"
    """What is minimised: "multi_task" (MT-RankIQA, eq. 5), "regression" (Baseline of Table 1),
    "ranking" (RankIQA) or "ranking_then_regression" (RankIQA+FT)."""
    pairs: PairSampling = "efficient"
    """Pairs of ranked images: "efficient" (all pairs of whole ladders, eq. 8 to 14), "random"
    pairs, or the "hard" ones of them (6.1.1). All pass ranked_images through the network."""
    ranking_weight: Annotated[float, Gt(0.0), Le(1000.0)] = 1.0
    """Weight λ of the ranking loss in eq. 5. TPAMI paper 6.1: 1."""
    margin: Annotated[float, Ge(0.0), Le(100.0)] = 0.5
    """Margin ε of eq. 4, in standard deviations of the training labels. Ours; the authors' code has
    10 on the scale of the network's output."""
    distortions: tuple[str, ...] = RANKIQA_TID2013
    """Ladders to learn from. TPAMI paper 4.2: the 17 types of TID2013 that the authors made."""
    levels: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Levels of the ladders; 0 is the image itself. TPAMI paper 4.2: five."""
    ladder_share: Annotated[float, Gt(0.0), Le(1.0)] = 1.0
    """Share, drawn at random, of the photographs that ladders are made of. Supplement, Table 4."""
    ranked_images: Annotated[int, Ge(2), Le(1_000_000)] = 72
    """Images of ladders or pairs per step, as many of them as make whole ones. 6.1.1: 72."""
    labelled_images: Annotated[int, Ge(1), Le(1_000_000)] = 30
    """Labelled images per step. Authors' code: 30."""
    hard_pairs: Annotated[int, Ge(1), Le(1_000_000)] = 9
    """With "hard" pairs, how many of the hardest are learned from at first, of those of each
    data-parallel worker. Ours."""
    hard_pairs_every: Annotated[int, Ge(1), Le(100_000_000)] = 5000
    """Steps after which hard_pairs more of them are learned from. 6.1.1: 5,000."""
    learning_rate: Annotated[float, Gt(0.0), Le(10.0)] = 1e-5
    """Initial rate of "multi_task" and "regression". TPAMI paper 6.1: 1e-5 (1e-6 on LIVE)."""
    ranking_learning_rate: Annotated[float, Gt(0.0), Le(10.0)] = 1e-4
    """Initial rate of "ranking", also before regression. TPAMI paper 6.1: 1e-4."""
    fine_tuning_learning_rate: Annotated[float, Gt(0.0), Le(10.0)] = 1e-6
    """Initial rate of the regression after ranking. TPAMI paper 6.1: 1e-6."""
    learning_rate_drops: Annotated[int, Ge(0), Le(100)] = 4
    """How often, evenly over each phase, rates fall to a tenth. TPAMI paper 6.1: every 10,000 of
    50,000 steps."""
    head_rate_factor: Annotated[float, Gt(0.0), Le(1000.0)] = 1.0
    """Rate of the last layer over that of the others. Authors' code: 10."""
    fine_tuning_share: Annotated[float, Gt(0.0), Lt(1.0)] = 0.5
    """Share of the steps of "ranking_then_regression" that are regression. TPAMI paper 6.1: as
    many steps for both."""
    kept_layers: Literal["convolutions", "features", "all"] = "convolutions"
    """What ranking leaves to regression: the convolutions (authors' code on TID2013), everything
    before the last layer (authors' code on LIVE), or all. The rest starts anew. On networks without
    other dense layers the first two are one."""
    momentum: Annotated[float, Ge(0.0), Lt(1.0)] = 0.9
    """Momentum of SGD. Authors' code."""
    weight_decay: Annotated[float, Ge(0.0), Le(1.0)] = 0.0005
    """Weight decay of SGD. TPAMI paper 6.1."""
    test_sub_images: Annotated[int, Ge(1), Le(1000)] = 30
    """Random sub-images whose mean score is the score of an image. TPAMI paper 6.1: 30."""
    steps: Annotated[int, Ge(1), Le(100_000_000)] = 50_000
    """Training budget in optimiser steps, both phases together. TPAMI paper 6.1: 50,000."""

    @field_validator("distortions", "levels", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """A search space and a table name several in one string."""
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("distortions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in DISTORTIONS:
                near = difflib.get_close_matches(name, DISTORTIONS, n=1, cutoff=0.0)
                raise ValueError(f"unknown distortion {name!r}: the nearest is {near[0]!r}")
        if not names or len(set(names)) < len(names):
            raise ValueError("name at least one distortion, and each once")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> "RankIQAConfig":
        if len(set(self.levels)) < 2 or len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels {self.levels}: give at least two levels, each once")
        try:
            for name in self.distortions:
                DISTORTIONS[name].checked_levels(self.levels)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if self.pairs == "efficient" and self.ranked_images < len(self.levels):
            raise ValueError(
                f"ranked_images {self.ranked_images} hold no ladder of {len(self.levels)} levels: "
                f"give at least {len(self.levels)}"
            )
        if self.objective == "ranking_then_regression" and self.steps < 2:
            raise ValueError("steps 1 are too few for ranking and then regression: give at least 2")
        if self.backbone == "shallow" and self.weights not in ("none", "imagenet"):
            raise ValueError(
                f"weights {self.weights!r} are not for the shallow network: give weights none"
            )
        smallest = SMALLEST_INPUT[self.backbone]
        if self.input_size < smallest:
            raise ValueError(
                f"input_size {self.input_size} is below {smallest}, the least that "
                f"{self.backbone} takes: give at least that"
            )
        return self

    @property
    def ranking_steps(self) -> int:
        """Steps before regression begins anew; those of the other objectives have one phase."""
        if self.objective != "ranking_then_regression":
            return 0
        return max(1, self.steps - max(1, round(self.fine_tuning_share * self.steps)))
