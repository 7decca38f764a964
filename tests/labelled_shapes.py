"""Labelled images of several shapes, made up; conftest files of rooms that learn from them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, Dataset
from rankloop.methods.method import TrainingData

SCORES = [0.0, 4.0, 10.0, 12.5, 20.0, 31.0, 47.0, 50.0, 64.0, 80.0, 90.0, 100.0]


def load(row: int) -> np.ndarray:
    """Images of three shapes, the noisier the lower their score."""
    height, width = ((40, 48), (48, 40), (36, 70))[row % 3]
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 3, y * 4, (x + y) * 2], axis=2).astype(np.float64) % 256
    noise = np.random.default_rng(row).normal(0, 40 - 3 * (row % 12), image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def shapes() -> TrainingData:
    """Twelve images to train on, six to validate, two without a score."""
    rows: list[dict[str, Any]] = [
        {
            "image": f"i{i}",
            "uri": f"nowhere/{i}.png",
            "source": f"i{i}",
            "split": "train" if i < 12 or i > 17 else "validation",
            "score": SCORES[i % 12] if i < 18 else None,
        }
        for i in range(20)
    ]
    dataset = Dataset(
        name="made up",
        images=pa.Table.from_pylist(rows, IMAGE_SCHEMA),
        pairs=pa.Table.from_pylist([], PAIR_SCHEMA),
        higher_is_better=True,
        score_name="MOS",
        annotator="none",
    )
    return TrainingData(dataset, load)
