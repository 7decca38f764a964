"""Metrics of a model on one split of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rankloop.datasets.dataset import Dataset, Split, pair_indices, split_indices
from rankloop.errors import ImageError, TrainingError
from rankloop.methods.method import Method, TrainingData
from rankloop.methods.views import mean_scores
from rankloop.metrics import mae, pair_accuracy, plcc, rmse, srocc
from rankloop.reading import in_order
from rankloop.training.count_errors import error_metrics

BATCH = 32


@dataclass(frozen=True)
class Evaluation:
    """Scores of the images of one split and their metrics.

    Attributes:
        images: row numbers in ``dataset.images``, int64 (n,).
        scores: float32 (n,), direction ``method.higher_is_better``.
        metrics: ``mae`` and ``rmse`` in people where people are counted, ``srocc`` and ``plcc``
            where the images have scores (1.0 is full agreement, whatever the directions),
            ``pair_accuracy`` where there are labelled pairs; NaN where undefined. Of all of them
            together, and where asked for ``srocc/NAME`` and ``plcc/NAME`` of each distortion, or
            what `error_metrics` says where people are counted.
    """

    images: np.ndarray
    scores: np.ndarray
    metrics: Mapping[str, float]


def evaluate(
    method: Method,
    config: Any,
    model: nn.Module,
    data: TrainingData,
    split: Split,
    device: torch.device,
    *,
    by_group: bool = False,
) -> Evaluation:
    """Score a split's images one batch at a time and compare with what is known of them.

    Raises:
        TrainingError: a score is NaN or infinite.
    """
    rows, scores = predict_rows(
        method, config, model, data, split_indices(data.dataset, split), device
    )
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise TrainingError(
            f"scores of {bad} of {len(scores)} {split} images are not finite: the model has "
            "diverged, train it with a lower learning_rate"
        )
    metrics = _metrics(method, data.dataset, split, rows, scores)
    if by_group:
        metrics |= _by_group(method, data.dataset, rows, scores)
    return Evaluation(rows, scores, metrics)


def selection_metric(method: Method, dataset: Dataset) -> str:
    """Name of the validation metric that chooses between trials; see `higher_is_better`."""
    if method.learns_from == "points":
        return "mae"
    known = dataset.images["score"].combine_chunks().take(split_indices(dataset, "validation"))
    return "srocc" if len(known) - known.null_count >= 2 else "pair_accuracy"


def predict_rows(
    method: Method,
    config: Any,
    model: nn.Module,
    data: TrainingData,
    rows: np.ndarray,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that could be read and their scores, with the model in evaluation mode."""
    was_training = model.training
    model.eval()
    kept: list[int] = []
    scores: list[np.ndarray] = []

    def read(row: int) -> np.ndarray | None:
        try:
            return _views(method, data, row, config)
        except ImageError:
            # Vanished since the images were checked.
            return None

    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH].tolist()
        views = dict(zip(some, in_order(read, some, data.reads_at_once), strict=True))
        found = {row: seen for row, seen in views.items() if seen is not None}
        if found:
            kept.extend(found)
            scores.append(mean_scores(method, model, list(found.values()), device))
    model.train(was_training)
    return np.array(kept, np.int64), np.concatenate(scores) if scores else np.empty(0, np.float32)


def _views(method: Method, data: TrainingData, row: int, config: Any) -> np.ndarray:
    if method.row_views is not None:
        return method.row_views(data, row, config)
    return method.views(data.load(row), config)


def _metrics(
    method: Method, dataset: Dataset, split: Split, rows: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    metrics = _errors(method, dataset, rows, scores)
    metrics |= _correlations(method, dataset, rows, scores)
    better, worse = pair_indices(dataset, split)
    by_row = dict(zip(rows.tolist(), scores.tolist(), strict=True))
    pairs = [(b, w) for b, w in zip(better, worse, strict=True) if b in by_row and w in by_row]
    if pairs:
        sign = 1.0 if method.higher_is_better else -1.0
        metrics["pair_accuracy"] = pair_accuracy(
            np.array([sign * by_row[b] for b, _ in pairs]),
            np.array([sign * by_row[w] for _, w in pairs]),
        )
    return metrics


def _by_group(
    method: Method, dataset: Dataset, rows: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    if method.learns_from == "points":
        labels, known = _labels(dataset, rows)
        sources = dataset.images["source"].take(rows[known]).to_pylist()
        return error_metrics(scores[known] - labels[known], labels[known], sources)
    names = np.array(dataset.images["distortion"].to_pylist(), object)[rows]
    metrics: dict[str, float] = {}
    for name in sorted({name for name in names if name is not None}):
        here = names == name
        found = _correlations(method, dataset, rows[here], scores[here])
        metrics |= {f"{metric}/{name}": value for metric, value in found.items()}
    return metrics


def _errors(
    method: Method, dataset: Dataset, rows: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    if method.learns_from != "points":
        return {}
    labels, known = _labels(dataset, rows)
    return {"mae": mae(scores[known], labels[known]), "rmse": rmse(scores[known], labels[known])}


def _labels(dataset: Dataset, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = dataset.images["score"].to_numpy(zero_copy_only=False).astype(np.float64)[rows]
    return labels, ~np.isnan(labels)


def _correlations(
    method: Method, dataset: Dataset, rows: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    labels, known = _labels(dataset, rows)
    if known.sum() < 2 or dataset.higher_is_better is None:
        return {}
    directions = {
        "labels_higher_is_better": dataset.higher_is_better,
        "scores_higher_is_better": method.higher_is_better,
    }
    return {
        "srocc": srocc(scores[known], labels[known], **directions),
        "plcc": plcc(scores[known], labels[known], **directions),
    }
