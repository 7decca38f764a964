"""QCN: image quality by score pivots and comparison transformers.

Shin, Lee and Kim, "Blind image quality assessment based on geometric order learning" (CVPR 2024),
sections 3 and 4.1. Where the authors' code differs from the text, the text is the default and the
code an option: see `rankloop.methods.qcn_config`.
"""

import math
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rankloop.losses.metric_constraint import metric_constraint_loss
from rankloop.losses.pivot_center import pivot_center_loss
from rankloop.losses.pivot_order import pivot_order_loss
from rankloop.methods.labels import labelled_rows, quality_labels
from rankloop.methods.method import Batch, Method, TrainingData, unwrapped
from rankloop.methods.qcn_config import QCNConfig
from rankloop.methods.qcn_scoring import arrangement, further_metrics, prepare_scoring
from rankloop.methods.qcn_streams import qcn_streams, quantised_scores
from rankloop.methods.whole_images import unpacked_images, whole_image, whole_image_ladder
from rankloop.models.qcn import build_qcn
from rankloop.models.regression import build_regression
from rankloop.models.score_estimate import estimated_scores


def _build(config: QCNConfig, seed: int) -> nn.Module:
    model = _network(config, seed)
    if not config.backbone_rate_factor:
        # Saves the way back through it.
        cast(Any, model).encoder.backbone.requires_grad_(False)
    return model


def _network(config: QCNConfig, seed: int) -> nn.Module:
    if config.objective == "regression":
        return build_regression(
            config.backbone,
            weights=config.weights,
            channels=config.channels,
            frozen_statistics=config.keeps_statistics,
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
        # A single image has no others to be updated by.
        feature_self_update=config.feature_self_update
        and config.images * config.images_per_group > 1,
        pivot_self_update=config.pivot_self_update,
        drop_path=config.drop_path,
        frozen_statistics=config.keeps_statistics,
        flip=config.flip,
        seed=seed,
    )


def _initialise(model: nn.Module, config: QCNConfig, data: TrainingData) -> None:
    scores = quality_labels(data)[labelled_rows(data)]
    if config.objective == "regression":
        unwrapped(model).scale.set(torch.from_numpy(scores))
    else:
        levels = quantised_scores(scores, config)
        network = unwrapped(model)
        network.pivot_scores.copy_(torch.from_numpy(levels))
        network.score_range.copy_(torch.tensor([scores.min(), scores.max()]))


def _loss(model: nn.Module, batch: Batch, config: QCNConfig) -> dict[str, torch.Tensor]:
    lists = batch["lists"]
    images = unpacked_images(lists["pixels"], lists["sizes"])
    if config.objective == "regression":
        return _regression_loss(model, list(images), lists["labels"].flatten(), config)
    groups = _repeated(lists["labels"], config.repeats)
    embedding, pivots = model(list(images), groups)
    scores = lists["labels"].flatten()[groups].to(embedding.dtype)
    levels = unwrapped(model).pivot_scores.to(embedding.dtype)
    terms = {}
    if config.order_weight:
        order = pivot_order_loss(pivots, config.order_loss)
        # Data-parallel training asks that every weight takes part, also where this loss is alone.
        terms["order"] = config.order_weight * order + 0.0 * embedding.sum()
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
        estimated = estimated_scores(embedding, pivots, levels)
        unit = 100.0 / unwrapped(model).score_range.diff()
        terms["mae"] = config.mae_weight * _smooth_mae(estimated, scores, unit, config)
    return terms


def _regression_loss(
    model: nn.Module, images: list[torch.Tensor], labels: torch.Tensor, config: QCNConfig
) -> dict[str, torch.Tensor]:
    scores = model(images)
    # Four deviations stand for the range, so that a unit is about that of QCN.
    unit = 25.0 / unwrapped(model).scale.deviation
    return {"mae": config.mae_weight * _smooth_mae(scores, labels, unit, config)}


def _smooth_mae(
    scores: torch.Tensor, labels: torch.Tensor, unit: torch.Tensor, config: QCNConfig
) -> torch.Tensor:
    factor = unit.to(scores.dtype) if config.mae_unit == "range" else 1.0
    return functional.smooth_l1_loss(factor * scores, factor * labels.to(scores.dtype))


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
    backbone = list(cast(Any, model).encoder.backbone.parameters())
    known = {id(parameter) for parameter in backbone}
    groups: list[dict[str, Any]] = [
        {"params": backbone, "factor": config.backbone_rate_factor},
        {"params": [one for one in model.parameters() if id(one) not in known]},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def _learning_rate(config: QCNConfig, step: int) -> float:
    rising = config.warm_up * config.steps
    if step < rising:
        return config.learning_rate * (step + 1) / math.ceil(rising)
    done = (step - rising) / (config.steps - rising)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


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
    streams=qcn_streams,
    loss=_loss,
    optimizer=_optimizer,
    learning_rate=_learning_rate,
    prepare_scoring=prepare_scoring,
    further_metrics=further_metrics,
    arrangement=arrangement,
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
        "flip": "none",
        "learning_rate": 0.001,
        "steps": 20,
    },
)
