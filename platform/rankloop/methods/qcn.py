"""QCN: image quality by score pivots and comparison transformers.

Shin, Lee and Kim, "Blind image quality assessment based on geometric order learning" (CVPR 2024),
sections 3 and 4.1. Where the authors' code differs from the text, the text is the default and the
code an option: see `rankloop.methods.qcn_config`.
"""

import math
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rankloop.losses.metric_constraint import metric_constraint_loss
from rankloop.losses.pivot_center import pivot_center_loss
from rankloop.losses.pivot_order import pivot_order_loss
from rankloop.methods.labels import labelled_rows, quality_labels
from rankloop.methods.method import Arrangement, Batch, ExampleStream, Method, TrainingData
from rankloop.methods.pivot_scores import lloyd_max_pivot_scores, uniform_pivot_scores
from rankloop.methods.qcn_config import QCNConfig
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.methods.whole_images import (
    check_opinions,
    encoded_rows,
    longest_side,
    row_pictures,
    unpacked_images,
    whole_image,
    whole_image_ladder,
)
from rankloop.models.qcn import QCNNetwork, build_qcn
from rankloop.models.regression import build_regression
from rankloop.models.score_estimate import estimated_scores
from rankloop.randomness import derived_seed, rng
from rankloop.ranking.draws import MAX_ATTEMPTS, first_readable
from rankloop.ranking.score_groups import equal_score_groups, score_intervals
from rankloop.ranking.score_list import Group, packed_pixels, score_list

# Of the steps, in the authors' code, in which lists hold all groups of scores (5 of 100 epochs).
_UNIFORM_SHARE = 0.05
# Of auxiliary images, for the spread of the scores (the paper's supplement does the same).
_DRAWS = 20
_SPREAD = "spread_over_auxiliary_images"
# Groups that are arranged together.
_AT_ONCE = 64


def _build(config: QCNConfig, seed: int) -> nn.Module:
    if config.objective == "regression":
        return build_regression(
            config.backbone,
            weights=config.weights,
            channels=config.channels,
            frozen_statistics=config.frozen_statistics,
            flip=config.flip,
            seed=seed,
        )
    return build_qcn(
        config.backbone,
        weights=config.weights,
        channels=config.channels,
        pivots=config.pivots,
        images=config.images,
        transformers=config.transformers,
        layout=config.layout,
        feed_forward=config.feed_forward,
        heads=config.heads,
        feature_self_update=config.feature_self_update,
        pivot_self_update=config.pivot_self_update,
        drop_path=config.drop_path,
        frozen_statistics=config.frozen_statistics,
        flip=config.flip,
        seed=seed,
    )


def _initialise(model: nn.Module, config: QCNConfig, data: TrainingData) -> None:
    scores = quality_labels(data)[labelled_rows(data)]
    if config.objective == "regression":
        _unwrapped(model).scale.set(torch.from_numpy(scores))
    else:
        levels = _pivot_scores(scores, config)
        _network(model).pivot_scores.copy_(torch.from_numpy(levels))


def _pivot_scores(scores: np.ndarray, config: QCNConfig) -> np.ndarray:
    if config.quantisation == "uniform":
        return uniform_pivot_scores(scores, config.pivots)
    pinned = config.quantisation == "lloyd_max_pinned"
    return lloyd_max_pivot_scores(scores, config.pivots, pinned_ends=pinned)


def _unwrapped(model: nn.Module) -> Any:
    # Data-parallel training wraps the model.
    return getattr(model, "module", model)


def _network(model: nn.Module) -> QCNNetwork:
    return cast(QCNNetwork, _unwrapped(model))


def _streams(config: QCNConfig, data: TrainingData, seed: int) -> dict[str, ExampleStream]:
    check_opinions(data, "qcn")
    rows = labelled_rows(data)
    labels = quality_labels(data)[rows]
    if config.objective == "comparison":
        # More pivots than scores are refused before anything starts.
        _pivot_scores(labels, config)
    early, late = _groups(config, labels)
    row = partial(_row, data, rows, labels, early, late, config, seed)
    return {
        "lists": ExampleStream(
            config.lists,
            row,
            tuple(f"image {i}" for i in range(1, config.images * config.images_per_group + 1)),
            pictures=row_pictures,
        )
    }


def _groups(config: QCNConfig, labels: np.ndarray) -> tuple[list[Group], list[Group]]:
    """Groups of scores that lists are drawn from, of the first steps and of the others."""
    if config.batches == "intervals":
        intervals: list[Group] = [[some] for some in score_intervals(labels, config.images)]
        return intervals, intervals
    early: list[Group] = list(equal_score_groups(labels, config.images))
    fine = min(3 * config.images, sum(map(len, early)))
    return early, list(equal_score_groups(labels, fine))


def _row(
    data: TrainingData,
    rows: np.ndarray,
    labels: np.ndarray,
    early: list[Group],
    late: list[Group],
    config: QCNConfig,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    replaced = ReplacedImages()
    images, positions = score_list(
        lambda position: whole_image(data.load(int(rows[position])), config.short_side),
        early if step < _UNIFORM_SHARE * config.steps else late,
        config.images,
        config.images_per_group,
        seed=seed,
        step=step,
        item=item,
        on_skip=lambda position, reason: replaced(int(rows[position]), reason),
    )
    pixels, sizes = packed_pixels(images, config.short_side, longest_side(config.short_side))
    return {
        "pixels": pixels,
        "sizes": sizes,
        "labels": labels[positions],
        "step": np.array(step, np.int64),
        REPLACED: replaced.column(),
    }


def _loss(model: nn.Module, batch: Batch, config: QCNConfig) -> dict[str, torch.Tensor]:
    lists = batch["lists"]
    images = unpacked_images(lists["pixels"], lists["sizes"])
    if config.objective == "regression":
        return _regression_loss(model, list(images), lists["labels"].flatten(), config)
    groups = _repeated(lists["labels"], config.repeats)
    embedding, pivots = model(list(images), groups)
    scores = lists["labels"].flatten()[groups].to(embedding.dtype)
    levels = _network(model).pivot_scores.to(embedding.dtype)
    terms = {}
    if config.order_weight:
        terms["order"] = config.order_weight * pivot_order_loss(pivots, config.order_loss)
    if config.metric_weight:
        terms["metric"] = config.metric_weight * metric_constraint_loss(
            embedding,
            scores,
            pivots,
            levels,
            _pairs(groups, config),
            config.margin,
            constrain_similar=config.metric_similar,
        )
    if config.center_weight:
        terms["center"] = config.center_weight * pivot_center_loss(
            embedding, scores, pivots, levels, config.center_reduction
        )
    if config.mae_weight and int(lists["step"][0]) >= config.mae_start * config.steps:
        # The same for scores of 0 to 1 and of 0 to 100.
        unit = 100.0 / (levels[-1] - levels[0])
        estimated = estimated_scores(embedding, pivots, levels)
        terms["mae"] = config.mae_weight * functional.smooth_l1_loss(
            unit * estimated, unit * scores
        )
    return terms


def _regression_loss(
    model: nn.Module, images: list[torch.Tensor], labels: torch.Tensor, config: QCNConfig
) -> dict[str, torch.Tensor]:
    scores = model(images)
    # Opinions are some twenty-five deviations in a hundred, so that units are about QCN's.
    unit = 25.0 / _unwrapped(model).scale.deviation.to(scores.dtype)
    loss = functional.smooth_l1_loss(unit * scores, unit * labels.to(scores.dtype))
    return {"mae": config.mae_weight * loss}


def _repeated(labels: torch.Tensor, repeats: int) -> torch.Tensor:
    """Positions of the images of each list in the step's images, each list in random orders."""
    count, images = labels.shape
    groups = torch.arange(count * images, device=labels.device).view(count, images)
    if repeats == 1:
        return groups
    orders = torch.rand(count * repeats, images, device=labels.device).argsort(dim=1)
    return groups.repeat_interleave(repeats, dim=0).gather(1, orders)


def _pairs(groups: torch.Tensor, config: QCNConfig) -> torch.Tensor:
    count, images = groups.shape
    if config.metric_pairs == "all":
        every = torch.combinations(torch.arange(images, device=groups.device))
        return every.expand(count, -1, -1)
    places = torch.arange(images, device=groups.device).expand(count, -1)
    partners = torch.rand(images, device=groups.device).argsort().expand(count, -1)
    return torch.stack([places, partners], dim=2)


def _optimizer(model: nn.Module, config: QCNConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )


def _learning_rate(config: QCNConfig, step: int) -> float:
    rising = config.warm_up * config.steps
    if step < rising:
        return config.learning_rate * (step + 1) / math.ceil(rising)
    done = (step - rising) / (config.steps - rising)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _prepare_scoring(model: nn.Module, config: QCNConfig, data: TrainingData, seed: int) -> None:
    if config.objective == "regression":
        return
    network = _network(model)
    network.auxiliary.copy_(auxiliary_features(network, config, data, seed))


@torch.no_grad()
def auxiliary_features(
    model: QCNNetwork, config: QCNConfig, data: TrainingData, seed: int
) -> torch.Tensor:
    """Return features of images drawn one from each of N - 1 intervals of the training scores.

    Section 3.5.

    Args:
        model: whose features they are.
        config: of the model.
        data: to draw from.
        seed: of the draw.

    Returns:
        Float (n - 1, c).

    Raises:
        DataError: 20 draws in a row gave an image that cannot be used.
    """
    rows = labelled_rows(data)
    if config.images == 1:
        return model.auxiliary
    images = []
    intervals = score_intervals(quality_labels(data)[rows], config.images - 1)
    for number, positions in enumerate(intervals):

        def draw(
            attempt: int, number: int = number, positions: np.ndarray = positions
        ) -> np.ndarray:
            dice = rng(seed, "auxiliary image", number, attempt)
            row = int(rows[positions[int(dice.integers(len(positions)))]])
            return whole_image(data.load(row), config.short_side)

        image = first_readable(draw, MAX_ATTEMPTS, f"auxiliary image {number}")
        images.append(torch.from_numpy(image).permute(2, 0, 1))
    was_training = model.training
    # In training the encoder may depend on the batch.
    model.eval()
    features: torch.Tensor = model.encoder(images)
    model.train(was_training)
    return features


@torch.inference_mode()
def _further_metrics(
    model: nn.Module, config: QCNConfig, data: TrainingData, rows: np.ndarray, seed: int
) -> dict[str, float]:
    """The mean standard deviation of the images' scores over draws of auxiliary images."""
    if config.objective == "regression" or config.images == 1 or not len(rows):
        return {}
    network = _network(model)
    features, _ = encoded_rows(network, network.encoder, data, rows, config.short_side)
    kept, scores = network.auxiliary.clone(), []
    for draw in range(_DRAWS):
        drawn = auxiliary_features(network, config, data, derived_seed(seed, "draw", draw))
        network.auxiliary.copy_(drawn)
        scores.append(_scores_in_parts(network, features))
    network.auxiliary.copy_(kept)
    return {_SPREAD: float(torch.stack(scores).std(dim=0).mean())}


@torch.inference_mode()
def _arrangement(
    model: nn.Module, config: QCNConfig, data: TrainingData, rows: np.ndarray
) -> Arrangement | None:
    if config.objective == "regression":
        return None
    network = _network(model)
    features, kept = encoded_rows(network, network.encoder, data, rows, config.short_side)
    if not len(features):
        return None
    # Of each transformer, part by part: the images, each in its own group, and their pivots' mean.
    parts = [network.arrangements(network.in_company(some)) for some in features.split(_AT_ONCE)]
    stages = [
        (
            torch.cat([tokens[:, -1] for tokens, _ in stage]).float().cpu().numpy(),
            torch.cat([pivots for _, pivots in stage]).mean(dim=0).float().cpu().numpy(),
        )
        for stage in zip(*parts, strict=True)
    ]
    return Arrangement(stages, network.pivot_scores.cpu().numpy(), kept)


def _scores_in_parts(network: QCNNetwork, features: torch.Tensor) -> torch.Tensor:
    return torch.cat([network.feature_scores(some) for some in features.split(_AT_ONCE)])


@torch.inference_mode()
def _predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    scores: torch.Tensor = cast(Any, model).scores(images)
    return scores.float()


@torch.inference_mode()
def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    features: torch.Tensor = cast(Any, model).encoder(images)
    return features.float()


QCN = Method(
    name="qcn",
    config=QCNConfig,
    # Labels of data sets where lower is better (DMOS) are learned with the opposite sign.
    higher_is_better=True,
    learns_from="scores",
    image_size=lambda config: None,
    least_side=lambda config: 1,
    views=lambda image, config: whole_image(image, config.short_side)[np.newaxis],
    build=_build,
    initialise=_initialise,
    streams=_streams,
    loss=_loss,
    optimizer=_optimizer,
    learning_rate=_learning_rate,
    prepare_scoring=_prepare_scoring,
    further_metrics=_further_metrics,
    arrangement=_arrangement,
    predict=_predict,
    features=_features,
    ranked_set=lambda image, generator, config: whole_image_ladder(
        image, generator, config.short_side
    ),
    smoke={
        "backbone": "resnet18",
        "weights": "none",
        "short_side": 32,
        "channels": 32,
        "pivots": 5,
        "images": 6,
        "lists": 2,
        "transformers": 2,
        "frozen_statistics": False,
        "flip": "none",
        "learning_rate": 0.001,
        "steps": 20,
    },
)
