"""Labelled images of several shapes, and photographs of crowds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from labelled_shapes import shapes
from rankloop.datasets.loaders import file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.methods.configuration import make_config
from rankloop.methods.counting import COUNTING
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.method import TrainingData

__all__ = ["shapes"]


@pytest.fixture(scope="module")
def unvalidated(shapes: TrainingData) -> TrainingData:
    """The same without images to validate on."""
    images = shapes.dataset.images
    return replace(shapes, dataset=replace(shapes.dataset, images=images.slice(0, 12)))


@pytest.fixture(scope="module")
def make_counting() -> Callable[..., CountingConfig]:
    def make_counting(**values: object) -> CountingConfig:
        small = {"labelled_images": 3, "ranked_images": 8, "crops": 4, "steps": 4}
        return make_config(CountingConfig, {**COUNTING.smoke, **small, **values})

    return make_counting


@pytest.fixture(scope="module")
def discs() -> TrainingData:
    dataset = open_dataset(["discs"], seed=0, learns_from="points")
    return TrainingData(dataset, file_loader(dataset, None))
