"""RankIQA and MT-RankIQA: image quality from few scores and many distortion ladders.

Liu et al., "Exploiting unlabeled data in CNNs by self-supervised learning to rank" (the TPAMI
paper), sections 3, 4 and 6.1, and "RankIQA: Learning from rankings for no-reference image quality
assessment" with its supplement.
"""

import difflib
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from torch import nn

from rankloop.datasets.dataset import HEAD_COUNT, split_indices
from rankloop.distortions import DISTORTIONS, RANKIQA_TID2013
from rankloop.distortions.distortion import Distortion
from rankloop.errors import ConfigError, DataError
from rankloop.losses.hardest_pairs import hardest_pairs_loss
from rankloop.losses.ranked_sets import ranked_sets_loss
from rankloop.methods.method import Batch, ExampleStream, Method, TrainingData
from rankloop.methods.ranked_sets import ranked_set_stream
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.models.score_scale import ScoreScale
from rankloop.models.scorer import SMALLEST_INPUT, Backbone, Scorer, build_scorer
from rankloop.models.torchvision_backbone import TorchvisionBackbone
from rankloop.randomness import derived_seed, rng
from rankloop.ranking.labelled_images import labelled_sub_image
from rankloop.ranking.ladders import ladder
from rankloop.ranking.ranked_set import RankedSet
from rankloop.ranking.sub_images import sub_images

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
    """With "hard" pairs, how many of the hardest are learned from at first. Ours."""
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
        return self.steps - max(1, round(self.fine_tuning_share * self.steps))


def _build(config: RankIQAConfig, seed: int) -> nn.Module:
    return build_scorer(
        config.backbone,
        output="scale",
        weights="none" if config.backbone == "shallow" else config.weights,
        input_size=config.input_size,
        seed=seed,
    )


def _labels(data: TrainingData) -> np.ndarray:
    """Labels by row, such that higher is better; NaN where there are none."""
    labels = data.dataset.images["score"].to_numpy(zero_copy_only=False).astype(np.float64)
    return labels if data.dataset.higher_is_better else -labels


def _labelled_rows(data: TrainingData) -> np.ndarray:
    rows = split_indices(data.dataset, "train")
    return rows[~np.isnan(_labels(data)[rows])]


def ladder_rows(data: TrainingData, share: float, seed: int) -> np.ndarray:
    """Return the training images that ladders are made of, int (n,), ascending.

    Those that no distortion was applied to: the unlabelled ones of them, or where all are labelled,
    these. Of one seed, a smaller share is part of a larger one.

    Raises:
        DataError: there is none.
    """
    rows = split_indices(data.dataset, "train")
    distorted = data.dataset.images["distortion"].is_valid().to_numpy()
    rows = rows[~distorted[rows]]
    unlabelled = rows[np.isnan(_labels(data)[rows])]
    if not rows.size:
        raise DataError(
            "all training images are distorted already, so that no ladder can be made of them: add "
            "photographs, for example folder:PATH"
        )
    rows = unlabelled if unlabelled.size else rows
    drawn = rng(seed, "share of the photographs").permutation(rows)
    return np.sort(drawn[: max(1, round(share * len(rows)))])


def _initialise(model: nn.Module, config: RankIQAConfig, data: TrainingData) -> None:
    # Ranking alone knows nothing of the labels, not even their scale.
    if config.objective != "ranking":
        _scale(model).set(torch.from_numpy(_labels(data)[_labelled_rows(data)]))


def _scale(model: nn.Module) -> ScoreScale:
    # Data-parallel training wraps the model.
    return cast(ScoreScale, getattr(model, "module", model).output)


def _ladder(
    image: np.ndarray, generator: np.random.Generator, size: int, config: RankIQAConfig
) -> RankedSet:
    """One of the distortions at all levels, or at two of them for pairs."""
    if config.pairs == "efficient":
        return _ranked_set(image, generator, config)
    distortion = _drawn_distortion(generator, config)
    levels = sorted(generator.choice(sorted(config.levels), 2, replace=False).tolist())
    return ladder(image, generator, size, distortion, levels)


def _ranked_set(
    image: np.ndarray, generator: np.random.Generator, config: RankIQAConfig
) -> RankedSet:
    """One of the distortions at all levels."""
    distortion = _drawn_distortion(generator, config)
    return ladder(image, generator, config.input_size, distortion, sorted(config.levels))


def _drawn_distortion(generator: np.random.Generator, config: RankIQAConfig) -> Distortion:
    return DISTORTIONS[config.distortions[int(generator.integers(len(config.distortions)))]]


def _labelled_row(
    data: TrainingData,
    labels: np.ndarray,
    rows: np.ndarray,
    config: RankIQAConfig,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    replaced = ReplacedImages()
    image, row = labelled_sub_image(
        data.load,
        rows,
        config.input_size,
        seed=seed,
        index=(step - config.ranking_steps) * config.labelled_images + item,
        on_skip=replaced,
    )
    return {
        "images": image[np.newaxis],
        "label": np.array(labels[row]),
        REPLACED: replaced.column(),
    }


def _streams(config: RankIQAConfig, data: TrainingData, seed: int) -> dict[str, ExampleStream]:
    if data.dataset.score_name == HEAD_COUNT:
        raise DataError(
            f"the labels of {data.dataset.name} are numbers of heads, which say nothing of "
            "quality: give photographs with opinion scores"
        )
    streams = {}
    if config.objective != "ranking":
        row = partial(_labelled_row, data, _labels(data), _labelled_rows(data), config, seed)
        streams["labelled"] = ExampleStream(
            config.labelled_images, row, ("",), describe=_label, first=config.ranking_steps
        )
    if config.objective != "regression":
        of_a_set = len(config.levels) if config.pairs == "efficient" else 2
        streams["ranked"] = ranked_set_stream(
            data.load,
            ladder_rows(data, config.ladder_share, seed),
            partial(_ladder, config=config),
            config.input_size,
            max(1, config.ranked_images // of_a_set),
            seed,
            image_names=() if config.pairs == "efficient" else ("better", "worse"),
            last=config.ranking_steps or None,
        )
    return streams


def _label(row: Mapping[str, np.ndarray]) -> str:
    return f"label {float(row['label']):.4g} (higher is better)"


def _loss(model: nn.Module, batch: Batch, config: RankIQAConfig) -> dict[str, torch.Tensor]:
    images = [stream["images"].flatten(0, 1) for stream in batch.values()]
    # Efficient Siamese: every image of the step goes through the network once, in one pass.
    scores = model(torch.cat(images).permute(0, 3, 1, 2))
    outputs = dict(
        zip(
            batch,
            _scale(model).standardised(scores).split([len(some) for some in images]),
            strict=True,
        )
    )
    terms = {}
    if "labelled" in batch:
        labels = _scale(model).standardised(batch["labelled"]["label"]).to(scores.dtype)
        # Eq. 16, in units of the labels' deviation.
        terms["regression"] = ((outputs["labelled"] - labels) ** 2).mean()
    if "ranked" in batch:
        weight = config.ranking_weight if "labelled" in batch else 1.0
        ranked = outputs["ranked"].view(len(batch["ranked"]["levels"]), -1)
        terms["ranking"] = weight * _ranking(ranked, batch["ranked"], config)
    return terms


def _ranking(
    outputs: torch.Tensor, ranked: Mapping[str, torch.Tensor], config: RankIQAConfig
) -> torch.Tensor:
    if config.pairs != "hard":
        return ranked_sets_loss(outputs, ranked["levels"], config.margin, higher_is_better=True)
    stages = int(ranked["step"][0]) // config.hard_pairs_every
    better, worse = outputs.unbind(1)
    hardest = (1 + stages) * config.hard_pairs
    return hardest_pairs_loss(better, worse, config.margin, hardest)


def _optimizer(model: nn.Module, config: RankIQAConfig) -> torch.optim.Optimizer:
    last = list(cast(Scorer, model).head.parameters())
    others = [p for p in model.parameters() if all(p is not parameter for parameter in last)]
    groups: list[dict[str, Any]] = [
        {"params": others},
        {"params": last, "factor": config.head_rate_factor},
    ]
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )


def _learning_rate(config: RankIQAConfig, step: int) -> float:
    start, stop, rate = 0, config.steps, config.learning_rate
    if config.objective == "ranking":
        rate = config.ranking_learning_rate
    elif step < config.ranking_steps:
        stop, rate = config.ranking_steps, config.ranking_learning_rate
    elif config.ranking_steps:
        start, rate = config.ranking_steps, config.fine_tuning_learning_rate
    drops = (step - start) * (config.learning_rate_drops + 1) // (stop - start)
    return float(rate * 0.1**drops)


def _before_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, config: RankIQAConfig, seed: int, step: int
) -> None:
    """Begin regression: what ranking does not leave to it starts anew."""
    if not config.ranking_steps or step != config.ranking_steps:
        return
    assert isinstance(model, Scorer)
    layers = [model.head] if config.kept_layers != "all" else []
    if config.kept_layers == "convolutions" and isinstance(model.backbone, TorchvisionBackbone):
        layers = [*model.backbone.dense_layers, *layers]
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(derived_seed(seed, "regression after ranking"))
        for layer in layers:
            assert isinstance(layer, nn.Linear)
            layer.load_state_dict(nn.Linear(layer.in_features, layer.out_features).state_dict())
    optimizer.state.clear()


@torch.inference_mode()
def _predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    scores: torch.Tensor = model(images)
    return scores.float()


@torch.inference_mode()
def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return cast(Scorer, model).features(images).float()


RANKIQA = Method(
    name="rankiqa",
    config=RankIQAConfig,
    # Labels of data sets where lower is better (DMOS) are learned with the opposite sign.
    higher_is_better=True,
    learns_from="scores",
    image_size=lambda config: None,
    least_side=lambda config: config.input_size,
    views=lambda image, config: sub_images(image, config.test_sub_images, config.input_size),
    build=_build,
    initialise=_initialise,
    before_step=_before_step,
    streams=_streams,
    loss=_loss,
    optimizer=_optimizer,
    learning_rate=_learning_rate,
    predict=_predict,
    features=_features,
    ranked_set=_ranked_set,
    smoke={
        "backbone": "shallow",
        "weights": "none",
        "input_size": 48,
        "distortions": ("gaussian_blur", "gaussian_noise"),
        "ranked_images": 20,
        "labelled_images": 8,
        "learning_rate": 0.01,
        "ranking_learning_rate": 0.01,
        "fine_tuning_learning_rate": 0.01,
        "test_sub_images": 4,
        "steps": 24,
    },
)
