"""SSRanking: blur scores from few labelled pairs and many unlabelled quadruplets.

Liang et al., "Object image blur assessment" (the SSRanking paper), sections 3 and 4.1.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, model_validator
from torch import nn

from rankloop.datasets.dataset import HEAD_COUNT, pair_indices, split_indices
from rankloop.distortions.blur import BlurKind, blur
from rankloop.errors import DataError
from rankloop.losses.lsep import lsep_loss
from rankloop.losses.pairwise_ranking import pairwise_ranking_loss
from rankloop.losses.quadruplet_ranking_consistency import quadruplet_ranking_consistency_loss
from rankloop.losses.rankiqa import rankiqa_loss
from rankloop.methods.method import Batch, ExampleStream, Method, TrainingData
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.models.scorer import (
    SMALLEST_INPUT,
    build_scorer,
    predicted_features,
    predicted_scores,
)
from rankloop.ranking.quadruplets import (
    BLURRED_PAIR,
    QUADRUPLET,
    BlurRange,
    blurred_pair,
    labelled_pair,
    quadruplet,
)
from rankloop.ranking.ranked_set import RankedSet, distinct

# Of the ranked sets that certainty is measured on.
_BLURS = 4
SelfSupervision = Literal["qrc", "rankiqa", "lsep", "none"]


class SSRankingConfig(BaseModel):
    """Hyperparameters of SSRanking; "ours" marks defaults that the paper does not publish."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backbone: Literal["resnet18", "shallow"] = "resnet18"
    """Network that turns an image into features. Paper 4.1: ResNet-18."""
    weights: str = "none"
    """Initial weights of resnet18: "none" (ours; the paper does not say), "imagenet" (torchvision
    downloads them), or a .safetensors file."""
    image_size: Annotated[int, Ge(16), Le(4096)] = 256
    """Side in pixels to which images are resized before blurring. Paper 2: 256."""
    input_size: Annotated[int, Ge(16), Le(4096)] = 224
    """Side in pixels of the centre crop that the network sees. Paper 4.1: 224."""
    self_supervision: SelfSupervision = "qrc"
    """Loss on unlabelled images: "qrc" (eq. 2), or the paper's comparisons "rankiqa" and "lsep"
    on image-and-blurred pairs (Table 2), or "none" (Table 2, Baseline)."""
    self_supervised_weight: Annotated[float, Ge(0.0), Le(1000.0)] = 1.0
    """Weight λ of the self-supervised loss; 0 is the supervised baseline. Ours."""
    epsilon_ranking: Annotated[float, Ge(0.0), Lt(1.0)] = 0.1
    """Margin ε_ranking of eq. 1, in score units (scores lie in (0, 1)). Ours."""
    epsilon_qrc: Annotated[float, Ge(0.0), Lt(1.0)] = 0.05
    """Margin ε_QRC of eq. 2, in score units. Ours."""
    epsilon_rankiqa: Annotated[float, Ge(0.0), Lt(1.0)] = 0.1
    """Margin of the RankIQA loss in Table 2's comparison, in score units. Ours."""
    blur_kinds: tuple[BlurKind, ...] = ("gaussian", "defocus", "motion")
    """Kernels that blur unlabelled images. Ours."""
    blur_low: Annotated[float, Gt(0.0), Le(100.0)] = 0.5
    """Weakest blur: standard deviation of the kernel in pixels at image_size. Ours."""
    blur_high: Annotated[float, Gt(0.0), Le(100.0)] = 4.0
    """Strongest blur: standard deviation of the kernel in pixels at image_size. Ours."""
    labelled_pairs: Annotated[int, Ge(1), Le(65536)] = 60
    """Labelled pairs N per step (eq. 1). Paper 4.1: batch size 60."""
    unlabelled_sets: Annotated[int, Ge(1), Le(65536)] = 60
    """Quadruplets M (eq. 2), or image-and-blurred pairs, per step. Paper 4.1: batch size 60."""
    learning_rate: Annotated[float, Gt(0.0), Le(10.0)] = 0.001
    """Initial rate, annealed by a cosine to 0 at the last step. Paper 4.1."""
    momentum: Annotated[float, Ge(0.0), Lt(1.0)] = 0.9
    """Momentum of SGD. Paper 4.1."""
    weight_decay: Annotated[float, Ge(0.0), Le(1.0)] = 0.0005
    """Weight decay of SGD. Paper 4.1."""
    steps: Annotated[int, Ge(1), Le(100_000_000)] = 10_000
    """Training budget in optimiser steps. Ours."""

    @model_validator(mode="after")
    def _consistent(self) -> "SSRankingConfig":
        if self.input_size > self.image_size:
            raise ValueError(
                f"input_size {self.input_size} is larger than image_size {self.image_size}: "
                "the network sees a centre crop of the image, so give input_size <= image_size"
            )
        smallest = SMALLEST_INPUT[self.backbone]
        if self.input_size < smallest:
            raise ValueError(
                f"input_size {self.input_size} is below {smallest}, the least that "
                f"{self.backbone} takes: give at least that"
            )
        if self.blur_low > self.blur_high:
            raise ValueError(
                f"blur_low {self.blur_low} is above blur_high {self.blur_high}: swap them"
            )
        if not self.blur_kinds:
            raise ValueError("blur_kinds is empty: name at least one of gaussian, defocus, motion")
        return self


def _build(config: SSRankingConfig, seed: int) -> nn.Module:
    return build_scorer(
        config.backbone,
        output="sigmoid",
        weights=config.weights,
        input_size=config.input_size,
        seed=seed,
    )


def _uses_unlabelled(config: SSRankingConfig) -> bool:
    return config.self_supervision != "none" and config.self_supervised_weight > 0


def _labelled_row(
    data: TrainingData,
    better: np.ndarray,
    worse: np.ndarray,
    rows_per_step: int,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    index = step * rows_per_step + item
    replaced = ReplacedImages()
    images, delta = labelled_pair(
        data.load, better, worse, seed=seed, index=index, on_skip=replaced
    )
    return {"images": images, "delta": np.array(delta, np.int8), REPLACED: replaced.column()}


def _unlabelled_row(
    data: TrainingData,
    pool: np.ndarray,
    config: SSRankingConfig,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    make = quadruplet if config.self_supervision == "qrc" else blurred_pair
    blur_range = BlurRange(config.blur_kinds, config.blur_low, config.blur_high)
    replaced = ReplacedImages()
    images = make(
        lambda i: data.load(int(pool[i])),
        len(pool),
        blur_range,
        seed=seed,
        step=step,
        item=item,
        on_skip=lambda i, reason: replaced(int(pool[i]), reason),
    )
    return {"images": images, REPLACED: replaced.column()}


def _streams(config: SSRankingConfig, data: TrainingData, seed: int) -> dict[str, ExampleStream]:
    if data.dataset.score_name == HEAD_COUNT:
        raise DataError(
            f"the labels of {data.dataset.name} are numbers of heads, which say nothing of blur: "
            "give the photographs as folder:PATH, where a synthetic annotator labels"
        )
    better, worse = pair_indices(data.dataset, "train")
    n = config.labelled_pairs
    labelled = partial(_labelled_row, data, better, worse, n, seed)
    streams = {"labelled": ExampleStream(n, labelled, describe=_order)}
    if _uses_unlabelled(config):
        pool = split_indices(data.dataset, "train")
        streams["unlabelled"] = ExampleStream(
            config.unlabelled_sets,
            partial(_unlabelled_row, data, pool, config, seed),
            QUADRUPLET if config.self_supervision == "qrc" else BLURRED_PAIR,
        )
    return streams


def _order(row: Mapping[str, np.ndarray]) -> str:
    return f"labelled: the {'second' if row['delta'] < 0 else 'first'} is better"


def _loss(model: nn.Module, batch: Batch, config: SSRankingConfig) -> dict[str, torch.Tensor]:
    pairs = batch["labelled"]["images"]  # (n, 2, h, w, 3)
    images = [pairs.flatten(0, 1)]
    if _uses_unlabelled(config):
        sets = batch["unlabelled"]["images"]  # (m, 4 or 2, h, w, 3)
        images.append(sets.flatten(0, 1))
    # Efficient Siamese: every image of the step goes through the network once, in one pass.
    scores = model(torch.cat(images).permute(0, 3, 1, 2))
    labelled = scores[: 2 * len(pairs)].view(-1, 2)
    terms = {
        "ranking": pairwise_ranking_loss(
            labelled[:, 0], labelled[:, 1], batch["labelled"]["delta"], config.epsilon_ranking
        )
    }
    if _uses_unlabelled(config):
        unlabelled = scores[2 * len(pairs) :].view(len(sets), -1)
        terms[config.self_supervision] = config.self_supervised_weight * _self_supervised(
            unlabelled, config
        )
    return terms


def _self_supervised(scores: torch.Tensor, config: SSRankingConfig) -> torch.Tensor:
    if config.self_supervision == "qrc":
        first, second, first_blurred, second_blurred = scores.unbind(1)
        return quadruplet_ranking_consistency_loss(
            first, second, first_blurred, second_blurred, config.epsilon_qrc
        )
    sharp, blurred = scores.unbind(1)
    if config.self_supervision == "rankiqa":
        return rankiqa_loss(sharp, blurred, config.epsilon_rankiqa)
    return lsep_loss(sharp, blurred)


def _optimizer(model: nn.Module, config: SSRankingConfig) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        model.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


def _learning_rate(config: SSRankingConfig, step: int) -> float:
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / config.steps))


def _blur_ladder(
    image: np.ndarray, generator: np.random.Generator, config: SSRankingConfig
) -> RankedSet:
    """The image and four blurs of it, of one kind, from weakest to strongest."""
    kind = config.blur_kinds[int(generator.integers(len(config.blur_kinds)))]
    angle = float(generator.uniform(0.0, math.pi))
    strengths = np.linspace(config.blur_low, config.blur_high, _BLURS).tolist()
    versions = [image, *(blur(image, kind, strength, angle) for strength in strengths)]
    return distinct(RankedSet(np.stack(versions), np.arange(_BLURS + 1)[:, np.newaxis]))


SSRANKING = Method(
    name="ssranking",
    config=SSRankingConfig,
    # Eq. 1 with delta = -1 for a blurrier first image pushes the sharper image's score up.
    higher_is_better=True,
    learns_from="pairs",
    image_size=lambda config: config.image_size,
    least_side=lambda config: 1,
    views=lambda image, config: image[np.newaxis],
    build=_build,
    streams=_streams,
    loss=_loss,
    optimizer=_optimizer,
    learning_rate=_learning_rate,
    predict=predicted_scores,
    features=predicted_features,
    ranked_set=_blur_ladder,
    smoke={
        "backbone": "shallow",
        "image_size": 52,
        "input_size": 48,
        "labelled_pairs": 16,
        "unlabelled_sets": 8,
        "learning_rate": 0.05,
        "steps": 24,
    },
)
