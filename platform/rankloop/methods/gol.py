"""GOL: geometric order learning, which QCN is compared with (QCN, Table 8).

Lee, Shin and Kim, "Geometric order learning for rank estimation" (NeurIPS 2022), as in its authors'
code: images and reference points on the unit sphere, arranged by order, metric and center loss; the
score is the mean of the nearest training images'.
"""

import math
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import nn

from rankloop.datasets.dataset import split_indices
from rankloop.errors import ConfigError, DataError
from rankloop.losses.geometric_order import geometric_order_loss
from rankloop.losses.metric_constraint import metric_constraint_loss
from rankloop.methods.gol_config import GOLConfig
from rankloop.methods.labels import labelled_rows, quality_labels
from rankloop.methods.method import Batch, ExampleStream, Method, TrainingData, unwrapped
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.methods.whole_images import (
    check_opinions,
    encoded_rows,
    most_pixels,
    row_pictures,
    unpacked_images,
    whole_image,
    whole_image_ladder,
)
from rankloop.models.gol import GOLNetwork, build_gol
from rankloop.randomness import rng
from rankloop.ranking.score_list import packed_pixels, score_list

# Tried where the number of neighbours is not given.
_COUNTS = tuple(range(2, 60, 2))
_LEAST_RATE = 1e-3


def _build(config: GOLConfig, seed: int) -> nn.Module:
    return build_gol(
        config.backbone,
        weights=config.weights,
        channels=config.channels,
        references=config.references,
        frozen_statistics=config.frozen_statistics,
        seed=seed,
    )


def _network(model: nn.Module) -> GOLNetwork:
    return cast(GOLNetwork, unwrapped(model))


def _initialise(model: nn.Module, config: GOLConfig, data: TrainingData) -> None:
    rows = labelled_rows(data)
    labels = torch.from_numpy(quality_labels(data)[rows])
    network = _network(model)
    # The same shape on every worker, before any has an embedding.
    network.remember(network.neighbours.new_zeros(len(rows), config.channels), labels)


def _ranks(labels: np.ndarray, every: np.ndarray, references: int) -> np.ndarray:
    """Numbers of the nearest of evenly spaced scores, int64 (n,)."""
    low, high = float(every.min()), float(every.max())
    share = (labels - low) / max(high - low, 1e-12)
    return np.rint(share * (references - 1)).astype(np.int64)


def _streams(config: GOLConfig, data: TrainingData, seed: int) -> dict[str, ExampleStream]:
    check_opinions(data, "gol")
    rows = labelled_rows(data)
    labels = quality_labels(data)[rows]
    if np.ptp(labels) == 0:
        raise DataError(
            f"all training images of {data.dataset.name} have the score {labels[0]:g}, and gol "
            "learns which are better: give images with different scores"
        )
    row = partial(_row, data, rows, _ranks(labels, labels, config.references), config, seed)
    return {"labelled": ExampleStream(config.images, row, ("",), pictures=row_pictures)}


def _row(
    data: TrainingData,
    rows: np.ndarray,
    ranks: np.ndarray,
    config: GOLConfig,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    replaced = ReplacedImages()
    images, positions = score_list(
        lambda position: whole_image(data.load(int(rows[position])), config.short_side),
        [[np.arange(len(rows))]],
        count=1,
        per_group=1,
        seed=seed,
        step=step,
        item=item,
        on_skip=lambda position, reason: replaced(int(rows[position]), reason),
    )
    if config.augmentation == "code":
        images = [
            _augmented(image, rng(seed, "augmentation", step, item, place), config)
            for place, image in enumerate(images)
        ]
    pixels, sizes = packed_pixels(images, most_pixels(config.short_side))
    return {
        "pixels": pixels,
        "sizes": sizes,
        "rank": ranks[positions],
        REPLACED: replaced.column(),
    }


def _augmented(image: np.ndarray, dice: np.random.Generator, config: GOLConfig) -> np.ndarray:
    """Cut a random square, of 224 pixels where 256 are the shorter side, and mirror it or not."""
    side = config.short_side * 7 // 8
    top, left = (int(dice.integers(length - side + 1)) for length in image.shape[:2])
    square = image[top : top + side, left : left + side]
    return square[:, ::-1] if dice.random() < 0.5 else square


def _loss(model: nn.Module, batch: Batch, config: GOLConfig) -> dict[str, torch.Tensor]:
    labelled = batch["labelled"]
    embedding, references = model(list(unpacked_images(labelled["pixels"], labelled["sizes"])))
    ranks = labelled["rank"][:, 0]
    pairs = _pairs(ranks, config)
    levels = torch.arange(len(references), device=ranks.device)
    metric = metric_constraint_loss(
        embedding[None],
        ranks[None],
        references[None],
        levels,
        pairs[None],
        config.margin,
        threshold=config.threshold,
    )
    own = torch.linalg.vector_norm(embedding - references[ranks], dim=1)
    return {
        "order": geometric_order_loss(embedding, ranks, references, pairs),
        "metric": metric,
        "center": own.mean(),
    }


def _pairs(ranks: torch.Tensor, config: GOLConfig) -> torch.Tensor:
    """All pairs in random directions, at most so many of each of the three orders, int (k, 2)."""
    every = torch.combinations(torch.arange(len(ranks), device=ranks.device))
    turned = torch.rand(len(every), device=ranks.device) > 0.5
    every = torch.where(turned[:, None], every.flip(1), every)
    every = every[torch.randperm(len(every), device=ranks.device)]
    ahead = ranks[every[:, 0]] - ranks[every[:, 1]]
    orders = (
        ahead > config.threshold,
        ahead < -config.threshold,
        ahead.abs() <= config.threshold,
    )
    return torch.cat([every[order][: config.pairs] for order in orders])


def _optimizer(model: nn.Module, config: GOLConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )


def _learning_rate(config: GOLConfig, step: int) -> float:
    share = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.learning_rate * (_LEAST_RATE + (1 - _LEAST_RATE) * share)


def _prepare_scoring(model: nn.Module, config: GOLConfig, data: TrainingData, seed: int) -> None:
    network = _network(model)
    labels, rows = quality_labels(data), labelled_rows(data)
    embedding, known = encoded_rows(network, network.embedding, data, rows, config.short_side)
    network.remember(embedding, torch.from_numpy(labels[known]))
    if config.neighbours:
        network.k.fill_(config.neighbours)
        return
    rows = split_indices(data.dataset, "validation")
    rows = rows[~np.isnan(labels[rows])]
    if not len(rows):
        raise ConfigError(
            "there are no validation images with a score, by which the number of neighbours is "
            "chosen: give --neighbours"
        )
    embedding, known = encoded_rows(network, network.embedding, data, rows, config.short_side)
    right = torch.from_numpy(labels[known]).to(embedding.device)
    means = network.neighbour_means(embedding, _COUNTS)
    errors = [float((mean - right).abs().mean()) for mean in means]
    network.k.fill_(_COUNTS[int(np.argmin(errors))])


@torch.inference_mode()
def _predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return cast(GOLNetwork, model).scores(images).float()


@torch.inference_mode()
def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return cast(GOLNetwork, model).embedding(images).float()


GOL = Method(
    name="gol",
    config=GOLConfig,
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
        "references": 5,
        "images": 12,
        "learning_rate": 0.001,
        "steps": 20,
    },
)
