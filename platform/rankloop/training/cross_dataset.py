"""A model trained on one dataset, evaluated on another (QCN, Table 2)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from rankloop.errors import DataError
from rankloop.methods.labels import labelled_rows, quality_labels
from rankloop.methods.method import Method, TrainingData
from rankloop.metrics import mae, plcc, srocc
from rankloop.training.evaluation import predict_rows


def cross_dataset_metrics(
    method: Method,
    config: Any,
    model: nn.Module,
    trained_on: TrainingData,
    target: TrainingData,
    device: torch.device,
) -> dict[str, float]:
    """Score all labelled images of another dataset, whatever its scale and direction.

    For the mean error, scores are mapped linearly, from the range of the labels that were learned
    from to that of the other dataset's, lower ones to lower quality.

    Args:
        method: a method whose scores are on the scale of its labels, higher being better.
        config: of the model.
        model: trained on the first dataset.
        trained_on: that dataset.
        target: the other one; all its labelled images count, of every split.
        device: where the model is.

    Returns:
        ``srocc`` and ``plcc``, 1.0 being full agreement, and ``mae`` in the other dataset's units.

    Raises:
        DataError: fewer than two labelled images of the other dataset can be read.
    """
    labels = quality_labels(target)
    rows, scores = predict_rows(
        method, config, model, target, np.flatnonzero(~np.isnan(labels)), device
    )
    if len(rows) < 2:
        raise DataError(
            f"{len(rows)} labelled images of {target.dataset.name} can be read: give at least 2"
        )
    known = quality_labels(trained_on)[labelled_rows(trained_on)]
    mapped = _mapped(scores.astype(np.float64), known, labels[rows])
    directions = {
        "labels_higher_is_better": True,
        "scores_higher_is_better": method.higher_is_better,
    }
    return {
        "srocc": srocc(scores, labels[rows], **directions),
        "plcc": plcc(scores, labels[rows], **directions),
        "mae": mae(mapped, labels[rows]),
    }


def _mapped(scores: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    share = (scores - source.min()) / (source.max() - source.min())
    mapped: np.ndarray = target.min() + share * (target.max() - target.min())
    return mapped
