"""Crowd counting by ranking: density maps from head points, and nested crops without any.

Liu et al., "Exploiting unlabeled data in CNNs by self-supervised learning to rank" (the TPAMI
paper), sections 5 and 6.2.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import numpy as np
import pyarrow.compute as pc
import torch
from torch import nn

from rankloop.datasets.crowds import CrowdPhotograph
from rankloop.datasets.dataset import split_indices
from rankloop.errors import DataError
from rankloop.losses.density_map import density_map_loss
from rankloop.losses.hardest_pairs import hardest_pairs_loss
from rankloop.losses.ranked_sets import ranked_sets_loss
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.crowd_patches import crowd_loader, crowd_patch
from rankloop.methods.method import Batch, ExampleStream, Method, TrainingData, unwrapped
from rankloop.methods.ranked_sets import ranked_set_stream
from rankloop.methods.rate_drops import dropped_rate
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.models.density import STRIDE, DensityNetwork, build_density_network
from rankloop.ranking.nested_crops import nested_crops
from rankloop.ranking.ranked_set import RankedSet


def _build(config: CountingConfig, seed: int) -> nn.Module:
    return build_density_network(
        config.backbone,
        weights=config.weights,
        frozen_statistics=config.keeps_statistics,
        tile_side=config.tile_side,
        seed=seed,
    )


def counted_rows(data: TrainingData) -> np.ndarray:
    """Return the rows of the training split that have head points, int (n,), ascending."""
    rows = split_indices(data.dataset, "train")
    images = data.dataset.images
    counted: np.ndarray = pc.and_(
        images["score"].is_valid(), images["points"].is_valid()
    ).to_numpy()
    return rows[counted[rows]]


def cropped_rows(data: TrainingData, config: CountingConfig) -> np.ndarray:
    """Return the training images that nested crops are made of, int (n,), ascending.

    Those that are not counted, or where all are, or are asked for, all.
    """
    rows = split_indices(data.dataset, "train")
    if config.crops_from == "all":
        return rows
    if data.unlabelled is not None:
        uncounted = rows[np.isin(rows, data.unlabelled)]
    else:
        uncounted = rows[~np.isin(rows, counted_rows(data))]
    return uncounted if uncounted.size else rows


def _crops(
    image: np.ndarray, generator: np.random.Generator, size: int, config: CountingConfig
) -> RankedSet:
    """Nested crops, or two of them for pairs."""
    found = _ranked_set(image, generator, config)
    if config.pairs == "efficient":
        return found
    two = np.sort(generator.choice(config.crops, 2, replace=False))
    return RankedSet(found.images[two], found.levels[two])


def _ranked_set(
    image: np.ndarray, generator: np.random.Generator, config: CountingConfig
) -> RankedSet:
    return nested_crops(
        image, generator, config.input_size, config.crops, config.crop_scale, config.anchor_region
    )


def _labelled_row(
    load: Callable[[int], CrowdPhotograph],
    rows: np.ndarray,
    config: CountingConfig,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    replaced = ReplacedImages()
    patch, _ = crowd_patch(
        load,
        rows,
        config,
        seed=seed,
        index=(step - config.ranking_steps) * config.labelled_images + item,
        on_skip=replaced,
    )
    return {
        "images": patch.image[np.newaxis],
        "density": patch.density,
        "inside": patch.inside,
        REPLACED: replaced.column(),
    }


def _streams(config: CountingConfig, data: TrainingData, seed: int) -> dict[str, ExampleStream]:
    rows = counted_rows(data)
    if not rows.size:
        raise DataError(
            f"no training image of {data.dataset.name} has head points, and counting learns where "
            "heads are: give data with points, such as shanghaitech:PATH, or mark some heads"
        )
    labelled = partial(_labelled_row, crowd_loader(data.dataset), rows, config, seed)
    streams = {
        "labelled": ExampleStream(
            config.labelled_images,
            labelled,
            ("patch", "true density"),
            pictures=_pictures,
            describe=_count,
            first=config.ranking_steps,
        )
    }
    if config.objective != "counting":
        of_a_set = config.crops if config.pairs == "efficient" else 2
        streams["ranked"] = ranked_set_stream(
            data.load,
            cropped_rows(data, config),
            partial(_crops, config=config),
            config.input_size,
            max(1, config.ranked_images // of_a_set),
            seed,
            image_names=() if config.pairs == "efficient" else ("around", "within"),
            last=config.ranking_steps or None,
        )
    return streams


def _pictures(row: Mapping[str, np.ndarray]) -> np.ndarray:
    """The patch, and its density from black to white."""
    density = row["density"] / max(float(row["density"].max()), 1e-12)
    grey = np.rint(255 * density).astype(np.uint8).repeat(STRIDE, 0).repeat(STRIDE, 1)
    return np.stack([row["images"][0], grey[..., np.newaxis].repeat(3, 2)])


def _count(row: Mapping[str, np.ndarray]) -> str:
    return f"{float(row['density'].sum()):.4g} people"


def _loss(model: nn.Module, batch: Batch, config: CountingConfig) -> dict[str, torch.Tensor]:
    images = [stream["images"].flatten(0, 1) for stream in batch.values()]
    # Efficient Siamese: every image of the step goes through the network once, in one pass.
    maps = model(torch.cat(images).permute(0, 3, 1, 2))
    found = dict(zip(batch, maps.split([len(some) for some in images]), strict=True))
    terms = {}
    if "labelled" in batch:
        labelled = batch["labelled"]
        terms["counting"] = density_map_loss(
            found["labelled"],
            labelled["density"].to(maps.dtype),
            labelled["inside"].to(maps.dtype),
        )
    if "ranked" in batch:
        weight = config.ranking_weight if "labelled" in batch else 1.0
        counts = found["ranked"].sum(dim=(1, 2)).view(len(batch["ranked"]["levels"]), -1)
        terms["ranking"] = weight * _ranking(counts, batch["ranked"], config)
    return terms


def _ranking(
    counts: torch.Tensor, ranked: Mapping[str, torch.Tensor], config: CountingConfig
) -> torch.Tensor:
    if config.pairs != "hard":
        return ranked_sets_loss(counts, ranked["levels"], config.margin, higher_is_better=True)
    stages = int(ranked["step"][0]) // config.hard_pairs_every
    around, within = counts.unbind(1)
    return hardest_pairs_loss(around, within, config.margin, (1 + stages) * config.hard_pairs)


def _optimizer(model: nn.Module, config: CountingConfig) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        model.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


def _learning_rate(config: CountingConfig, step: int) -> float:
    start = config.ranking_steps
    phase = (0, start) if step < start else (start, config.steps)
    return dropped_rate(config.learning_rate, step, phase, config.learning_rate_drops)


def _before_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, config: CountingConfig, seed: int, step: int
) -> None:
    """Begin counting after ranking: the momentum is of another loss."""
    if config.ranking_steps and step == config.ranking_steps:
        optimizer.state.clear()


def _row_views(data: TrainingData, row: int, config: CountingConfig) -> np.ndarray:
    """The whole photograph, with its region of interest as a fourth channel if it has one."""
    if data.dataset.images["region"][row].as_py() is None:
        return data.load(row)[np.newaxis]
    crowd = crowd_loader(data.dataset)(row)
    assert crowd.region is not None
    region = np.where(crowd.region, 255, 0).astype(np.uint8)
    return np.concatenate([crowd.image, region[..., np.newaxis]], axis=2)[np.newaxis]


def _network(model: nn.Module) -> DensityNetwork:
    return cast(DensityNetwork, unwrapped(model))


@torch.inference_mode()
def _predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return _network(model).scores(images).float()


@torch.inference_mode()
def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return _network(model).features(images).float()


@torch.inference_mode()
def _density(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return _network(model).maps(images).float()


COUNTING = Method(
    name="counting",
    config=CountingConfig,
    # A higher score means more people.
    higher_is_better=True,
    learns_from="points",
    image_size=lambda config: None,
    least_side=lambda config: STRIDE,
    views=lambda image, config: image[np.newaxis],
    row_views=_row_views,
    build=_build,
    before_step=_before_step,
    streams=_streams,
    loss=_loss,
    optimizer=_optimizer,
    learning_rate=_learning_rate,
    predict=_predict,
    features=_features,
    density=_density,
    example_data="discs",
    higher_means="more people",
    ranked_set=_ranked_set,
    smoke={
        "backbone": "resnet18",
        "weights": "none",
        "input_size": 64,
        "least_patch": 32,
        "most_patch": 96,
        "sigma": 4.0,
        "labelled_images": 6,
        "ranked_images": 10,
        "ranking_weight": 0.1,
        "learning_rate": 0.00001,
        "steps": 24,
    },
)
