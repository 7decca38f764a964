"""Labelled images of several shapes, for the methods that learn from whole images."""

from dataclasses import replace

import pytest

from labelled_shapes import shapes
from rankloop.methods.method import TrainingData

__all__ = ["shapes"]


@pytest.fixture(scope="module")
def unvalidated(shapes: TrainingData) -> TrainingData:
    """The same without images to validate on."""
    images = shapes.dataset.images
    return replace(shapes, dataset=replace(shapes.dataset, images=images.slice(0, 12)))
