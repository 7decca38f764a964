"""The last look at a trained model: validation and test, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rankloop.datasets.dataset import Dataset, Split
from rankloop.errors import CheckpointError
from rankloop.methods.method import Method, TrainingData
from rankloop.storage import Folder
from rankloop.training.checkpoints import (
    Checkpoint,
    load_latest,
    restored_model,
    save_checkpoint,
)
from rankloop.training.evaluation import Evaluation, evaluate
from rankloop.training.loop import Report, progress_of, report_at


@dataclass(frozen=True)
class FinalModel:
    """A finished run.

    Attributes:
        checkpoint: its last checkpoint.
        config: the method's configuration.
        model: with the weights of that checkpoint, in evaluation mode.
        evaluations: split (``"validation"``, ``"test"``) to scores and metrics.
    """

    checkpoint: Checkpoint
    config: Any
    model: nn.Module
    evaluations: dict[str, Evaluation]

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Split to metrics."""
        return {split: dict(found.metrics) for split, found in self.evaluations.items()}


def final_model(
    method: Method,
    config: Any,
    run: Folder,
    data: TrainingData,
    splits: Sequence[Split] = ("validation", "test"),
) -> FinalModel:
    """Load a finished run's model and evaluate it, on validation and test unless told otherwise.

    Raises:
        CheckpointError: the run has no whole checkpoint.
    """
    checkpoint = load_latest(run / "checkpoints")
    if checkpoint is None:
        raise CheckpointError(f"{run} has no checkpoint: run the same command again to train it")
    if checkpoint.step != config.steps:
        raise CheckpointError(
            f"{run} was trained for {checkpoint.step} of {config.steps} steps: run the same "
            "command again to finish it"
        )
    if checkpoint.config["config"] != config.model_dump(mode="json"):
        raise CheckpointError(f"{run} holds a model of another configuration")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = restored_model(method, config, checkpoint).to(device)
    evaluations: dict[str, Evaluation] = {
        split: evaluate(method, config, model, data, split, device, by_group=True)
        for split in splits
    }
    return FinalModel(checkpoint, config, model, evaluations)


def publish_checkpoint(final: FinalModel, result: Folder) -> Folder:
    """Put a final model, without its optimiser, at ``result/checkpoint``, ready for scoring."""
    last = final.checkpoint
    return save_checkpoint(
        result, "checkpoint", Checkpoint(last.step, last.model, {}, last.config, {})
    )


def scored_labels(
    final: FinalModel, data: TrainingData, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a split's images that have a label, and those labels, float64 (n,) each."""
    found = final.evaluations[split]
    labels = data.dataset.images["score"].to_numpy(zero_copy_only=False).astype(np.float64)
    known = ~np.isnan(labels[found.images])
    return found.scores[known].astype(np.float64), labels[found.images][known]


def replaced_images(checkpoint: Checkpoint, dataset: Dataset) -> dict[str, int]:
    """Images that a run could no longer read, and how often each was replaced by another."""
    names = dataset.images["image"]
    return {names[row].as_py(): n for row, n in sorted(progress_of(checkpoint).replaced.items())}


def past_reports(checkpoint: Checkpoint) -> list[Report]:
    """The reports of a finished run, with all their losses, for plots."""
    progress = progress_of(checkpoint)
    return [report_at(progress, index) for index in range(len(progress.reports))]
