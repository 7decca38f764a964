"""What every method gives: training, tuning and scoring work with any of them through this."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rankloop.datasets.dataset import Dataset


@dataclass(frozen=True)
class TrainingData:
    """A dataset and the way to its pixels.

    Attributes:
        dataset: tables of images and pairs.
        load: row number in ``dataset.images`` to uint8 (s, s, 3); raises ImageError.
    """

    dataset: Dataset
    load: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class ExampleStream:
    """Rows of a training stream, each a pure function of its place.

    Attributes:
        rows_per_step: rows that one training step consumes, over all workers together.
        row: (step, item) to named arrays of fixed shape and dtype, images as uint8 (k, h, w, 3);
            item is in [0, rows_per_step). The training loop counts what is in a column
            ``replaced``: see `rankloop.methods.replaced_images`.
        image_names: what the k images of a row are, for pictures; empty if nothing is to be said.
    """

    rows_per_step: int
    row: Callable[[int, int], dict[str, np.ndarray]]
    image_names: tuple[str, ...] = ()


# Stream name -> column name -> tensor whose first dimension is the row.
Batch = Mapping[str, Mapping[str, torch.Tensor]]
Streams = Mapping[str, ExampleStream]
# (streams, first step, one past the last step, rank, workers) to one batch per step.
OpenStreams = Callable[[Streams, int, int, int, int], Iterator[Batch]]


@dataclass(frozen=True)
class Method:
    """One system of a paper, put together.

    Attributes:
        name: as on the command line.
        config: its frozen Pydantic model; the loop and the jobs read ``backbone``, ``weights``,
            ``image_size`` (side in pixels to which images are brought), ``steps`` (the training
            budget) and ``learning_rate`` of it.
        higher_is_better: whether a higher score means a better image.
        build: (config, seed) to a seeded model that maps uint8 (n, 3, h, w) to scores (n,).
        streams: (config, data, seed) to named streams over the training split.
        loss: (model, batch, config) to named terms whose sum is minimised; one forward pass.
        optimizer: (model, config) to the optimiser.
        learning_rate: (config, step) to the rate of that step.
        predict: (model, images uint8 (n, 3, h, w)) to float32 scores (n,), without gradients.
        smoke: configuration values that make a run of seconds, for trying things out.
    """

    name: str
    config: type[Any]
    higher_is_better: bool
    build: Callable[[Any, int], nn.Module]
    streams: Callable[[Any, TrainingData, int], dict[str, ExampleStream]]
    loss: Callable[[nn.Module, Batch, Any], dict[str, torch.Tensor]]
    optimizer: Callable[[nn.Module, Any], torch.optim.Optimizer]
    learning_rate: Callable[[Any, int], float]
    predict: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    smoke: Mapping[str, Any]
