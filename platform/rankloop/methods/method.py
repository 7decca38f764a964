"""What every method gives: training, tuning and scoring work with any of them through this."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rankloop.datasets.dataset import Dataset, Labels
from rankloop.ranking.ranked_set import RankedSet


@dataclass(frozen=True)
class TrainingData:
    """A dataset and the way to its pixels.

    Attributes:
        dataset: tables of images and pairs.
        load: row number in ``dataset.images`` to uint8 (h, w, 3), of `Method.image_size` where the
            method has one; raises ImageError.
        unlabelled: rows of the training split that count as unlabelled, int (n,), whatever became
            known of them since; None for those without a score.
        reads_at_once: images that a process loads at once: 1 unless they come from remote storage.
    """

    dataset: Dataset
    load: Callable[[int], np.ndarray]
    unlabelled: np.ndarray | None = None
    reads_at_once: int = 1


@dataclass(frozen=True)
class Arrangement:
    """How a model arranges images and what it compares them with, step by step, for a picture.

    Attributes:
        stages: after each step, features of the images, float32 (n, c), and pivots, float32 (m, c).
        pivot_scores: float64 (m,).
        rows: row numbers of the images, int64 (n,).
    """

    stages: Sequence[tuple[np.ndarray, np.ndarray]]
    pivot_scores: np.ndarray
    rows: np.ndarray


# Functions with a name, so that streams can be sent to processes that torch starts.
def _images(row: Mapping[str, np.ndarray]) -> np.ndarray | None:
    return row.get("images")


def _nothing(row: Mapping[str, np.ndarray]) -> str:
    return ""


@dataclass(frozen=True)
class ExampleStream:
    """Rows of a training stream, each a pure function of its place.

    Attributes:
        rows_per_step: rows that one training step consumes, over all workers together.
        row: (step, item) to named arrays of fixed shape and dtype; item is in [0, rows_per_step).
            The training loop counts what is in a column ``replaced``: see
            `rankloop.methods.replaced_images`.
        image_names: what the k images of a row are, for pictures; empty if nothing is to be said.
        pictures: (row) to the k images, uint8 (k, h, w, 3), for pictures; None where there is
            nothing to see.
        describe: (row) to what a picture says of the row.
        first: first step that uses the stream.
        last: one past the last step that uses it; None for all after the first.
    """

    rows_per_step: int
    row: Callable[[int, int], dict[str, np.ndarray]]
    image_names: tuple[str, ...] = ()
    pictures: Callable[[Mapping[str, np.ndarray]], np.ndarray | None] = _images
    describe: Callable[[Mapping[str, np.ndarray]], str] = _nothing
    first: int = 0
    last: int | None = None

    def steps(self, start: int, stop: int) -> range:
        """Return those of the steps from ``start`` to ``stop`` that use the stream."""
        last = stop if self.last is None else min(stop, self.last)
        return range(max(start, self.first), max(start, self.first, last))


# Stream name -> column name -> tensor whose first dimension is the row.
Batch = Mapping[str, Mapping[str, torch.Tensor]]
Streams = Mapping[str, ExampleStream]
# (streams, first step, one past the last step, rank, workers) to one batch per step.
OpenStreams = Callable[[Streams, int, int, int, int], Iterator[Batch]]


def unwrapped(model: nn.Module) -> Any:
    """Return the network, which data-parallel training wraps."""
    return getattr(model, "module", model)


@dataclass(frozen=True)
class Method:
    """One system of a paper, put together.

    Attributes:
        name: as on the command line.
        config: its frozen Pydantic model; the loop and the jobs read ``backbone``, ``weights``,
            ``input_size`` (side in pixels of what the network sees), ``steps`` (the training
            budget) and ``learning_rate`` of it.
        higher_is_better: whether a higher score means a better image.
        higher_means: what a higher score means, if it is not a better image.
        learns_from: labels that training needs.
        image_size: (config) to the side in pixels of the squares that photographs are cut and
            resized to before anything else; None where they stay as they are.
        least_side: (config) to the pixels that each side of an image must have at least.
        views: (image as ``TrainingData.load`` gives it, config) to uint8 (k, h, w, 3): the score of
            the image is the mean of theirs. A function of the pixels, so that an image has one
            score; raises ImageError.
        row_views: (data, row number, config) to the views of an image of a dataset, where its
            score depends on more than the pixels; may have more channels. None: as ``views``.
        density: (model, images uint8 (n, 3, h, w)) to maps, float32 (n, h', w'), whose sums are the
            scores of plain images, without gradients; None where scores are no such sums.
        build: (config, seed) to a seeded model that maps uint8 (n, 3, h, w) to scores (n,).
        initialise: (new model, config, data) sets what the model takes from the training labels.
        before_step: (model, optimiser, config, seed, step) changes them where a phase of training
            begins; called before every step, and again after a restart at it.
        streams: (config, data, seed) to named streams over the training split.
        loss: (model, batch, config) to named terms whose sum is minimised; one forward pass.
        optimizer: (model, config) to the optimiser.
        learning_rate: (config, step) to the rate of that step, times the ``factor`` of each of the
            optimiser's groups of parameters that has one.
        prepare_scoring: (model, config, data, seed) sets what scoring takes of training images,
            such as their features; called before evaluations and before a checkpoint is written.
        predict: (model, images uint8 (n, 3, h, w)) to float32 scores (n,), without gradients.
        features: (model, images uint8 (n, 3, h, w)) to float32 (n, f), what the scores are made of,
            without gradients.
        ranked_set: (image as ``TrainingData.load`` gives it, generator, config) to versions of it
            whose order is known, of which the first ones rank above; raises ImageError.
        further_metrics: (finished model, config, data, row numbers, seed) to more metrics of these
            images, by name; computed once, on test images.
        arrangement: (finished model, config, data, row numbers) to how the model arranges images;
            None where it does not.
        example_data: data source that the method can be tried out with.
        smoke: configuration values that make a run of seconds, for trying things out.
    """

    name: str
    config: type[Any]
    higher_is_better: bool
    learns_from: Labels
    image_size: Callable[[Any], int | None]
    least_side: Callable[[Any], int]
    views: Callable[[np.ndarray, Any], np.ndarray]
    build: Callable[[Any, int], nn.Module]
    streams: Callable[[Any, TrainingData, int], dict[str, ExampleStream]]
    loss: Callable[[nn.Module, Batch, Any], dict[str, torch.Tensor]]
    optimizer: Callable[[nn.Module, Any], torch.optim.Optimizer]
    learning_rate: Callable[[Any, int], float]
    predict: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    features: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    ranked_set: Callable[[np.ndarray, np.random.Generator, Any], RankedSet]
    smoke: Mapping[str, Any]
    initialise: Callable[[nn.Module, Any, TrainingData], None] = lambda model, config, data: None
    prepare_scoring: Callable[[nn.Module, Any, TrainingData, int], None] = (
        lambda model, config, data, seed: None
    )
    further_metrics: Callable[[nn.Module, Any, TrainingData, np.ndarray, int], dict[str, float]] = (
        lambda model, config, data, rows, seed: {}
    )
    arrangement: Callable[[nn.Module, Any, TrainingData, np.ndarray], Arrangement | None] = (
        lambda model, config, data, rows: None
    )
    example_data: str = "samples"
    higher_means: str = ""
    row_views: Callable[[TrainingData, int, Any], np.ndarray] | None = None
    density: Callable[[nn.Module, torch.Tensor], torch.Tensor] | None = None
    before_step: Callable[[nn.Module, torch.optim.Optimizer, Any, int, int], None] = (
        lambda model, optimizer, config, seed, step: None
    )
