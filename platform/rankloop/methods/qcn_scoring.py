"""What QCN's scoring takes of training images, and how images are arranged for it."""

from typing import cast

import numpy as np
import torch
from torch import nn

from rankloop.methods.labels import labelled_rows, quality_labels
from rankloop.methods.method import Arrangement, TrainingData, unwrapped
from rankloop.methods.qcn_config import QCNConfig
from rankloop.methods.qcn_streams import auxiliary_groups
from rankloop.methods.whole_images import encoded_rows, whole_image
from rankloop.models.mirror import mirrored_scores
from rankloop.models.qcn import QCNNetwork
from rankloop.randomness import derived_seed, rng
from rankloop.ranking.draws import MAX_ATTEMPTS, first_readable
from rankloop.ranking.score_list import Group

# Of auxiliary images, for the spread of the scores (the paper's supplement does the same).
_DRAWS = 20
_SPREAD = "spread_over_auxiliary_images"
# Groups that are arranged together.
_AT_ONCE = 64


def prepare_scoring(model: nn.Module, config: QCNConfig, data: TrainingData, seed: int) -> None:
    """Keep features of auxiliary images in the model; see `Method.prepare_scoring`."""
    if config.objective == "regression":
        return
    network = _network(model)
    network.auxiliary.copy_(auxiliary_features(network, config, data, seed))


@torch.no_grad()
def auxiliary_features(
    model: QCNNetwork, config: QCNConfig, data: TrainingData, seed: int
) -> torch.Tensor:
    """Return features of images drawn one from each of N - 1 groups of the training scores.

    Section 3.5; of a group first a score is drawn, then one of its images.

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
    for number, group in enumerate(auxiliary_groups(quality_labels(data)[rows], config)):

        def draw(attempt: int, number: int = number, group: Group = group) -> np.ndarray:
            dice = rng(seed, "auxiliary image", number, attempt)
            positions = group[int(dice.integers(len(group)))]
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
def further_metrics(
    model: nn.Module, config: QCNConfig, data: TrainingData, rows: np.ndarray, seed: int
) -> dict[str, float]:
    """The mean standard deviation of the images' scores over draws of auxiliary images."""
    if config.objective == "regression" or config.images == 1 or not len(rows):
        return {}
    network = _network(model)
    features, _ = encoded_rows(network, network.features, data, rows, config.short_side)
    kept, scores = network.auxiliary.clone(), []
    for draw in range(_DRAWS):
        drawn = auxiliary_features(network, config, data, derived_seed(seed, "draw", draw))
        network.auxiliary.copy_(drawn)
        scores.append(_scores_in_parts(network, features))
    network.auxiliary.copy_(kept)
    return {_SPREAD: float(torch.stack(scores).std(dim=0).mean())}


@torch.inference_mode()
def arrangement(
    model: nn.Module, config: QCNConfig, data: TrainingData, rows: np.ndarray
) -> Arrangement | None:
    """Return where images and pivots are after each transformer; see `Method.arrangement`."""
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
    parts = features.split(_AT_ONCE)
    return torch.cat([mirrored_scores(network.feature_scores, some) for some in parts])


def _network(model: nn.Module) -> QCNNetwork:
    return cast(QCNNetwork, unwrapped(model))
