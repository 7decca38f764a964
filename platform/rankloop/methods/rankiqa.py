"""RankIQA and MT-RankIQA: image quality from few scores and many distortion ladders.

Liu et al., "Exploiting unlabeled data in CNNs by self-supervised learning to rank" (the TPAMI
paper), sections 3, 4 and 6.1, and "RankIQA: Learning from rankings for no-reference image quality
assessment" with its supplement.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from rankloop.datasets.dataset import HEAD_COUNT, split_indices
from rankloop.distortions import DISTORTIONS
from rankloop.distortions.distortion import Distortion
from rankloop.errors import DataError
from rankloop.losses.hardest_pairs import hardest_pairs_loss
from rankloop.losses.ranked_sets import ranked_sets_loss
from rankloop.methods.labels import labelled_rows, quality_labels
from rankloop.methods.method import Batch, ExampleStream, Method, TrainingData, unwrapped
from rankloop.methods.ranked_sets import ranked_set_stream
from rankloop.methods.rankiqa_config import RankIQAConfig
from rankloop.methods.rate_drops import dropped_rate
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.models.initialisation import seeded_initialisation
from rankloop.models.score_scale import ScoreScale
from rankloop.models.scorer import Scorer, build_scorer, predicted_features, predicted_scores
from rankloop.models.torchvision_backbone import TorchvisionBackbone
from rankloop.randomness import rng
from rankloop.ranking.labelled_images import labelled_sub_image
from rankloop.ranking.ladders import ladder
from rankloop.ranking.ranked_set import RankedSet
from rankloop.ranking.sub_images import sub_images


def _build(config: RankIQAConfig, seed: int) -> nn.Module:
    return build_scorer(
        config.backbone,
        output="scale",
        weights="none" if config.backbone == "shallow" else config.weights,
        input_size=config.input_size,
        seed=seed,
    )


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
    unscored = np.isnan(quality_labels(data)[rows])
    unlabelled = rows[unscored if data.unlabelled is None else np.isin(rows, data.unlabelled)]
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
        _scale(model).set(torch.from_numpy(quality_labels(data)[labelled_rows(data)]))


def _scale(model: nn.Module) -> ScoreScale:
    return cast(ScoreScale, unwrapped(model).output)


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
        row = partial(_labelled_row, data, quality_labels(data), labelled_rows(data), config, seed)
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
    return dropped_rate(rate, step, (start, stop), config.learning_rate_drops)


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
    with seeded_initialisation(seed, "regression after ranking"):
        for layer in layers:
            assert isinstance(layer, nn.Linear)
            layer.load_state_dict(nn.Linear(layer.in_features, layer.out_features).state_dict())
    optimizer.state.clear()


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
    predict=predicted_scores,
    features=predicted_features,
    ranked_set=_ranked_set,
    smoke={
        "backbone": "shallow",
        "weights": "none",
        "input_size": 48,
        "distortions": ("gaussian_blur",),
        "ranked_images": 20,
        "labelled_images": 8,
        "learning_rate": 0.01,
        "ranking_learning_rate": 0.01,
        "fine_tuning_learning_rate": 0.01,
        "test_sub_images": 4,
        "steps": 24,
    },
)
