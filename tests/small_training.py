"""Fixtures of a training that takes a second; conftest files of rooms that train import them."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, Dataset
from rankloop.datasets.loaders import array_loader
from rankloop.distortions.blur import blur
from rankloop.methods.configuration import make_config
from rankloop.methods.method import TrainingData
from rankloop.methods.ssranking import SSRankingConfig

SIDE = 48
MakeConfig = Callable[..., SSRankingConfig]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Bits depend on the number of threads that add up a sum."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Eighteen images; image i is blurred the more, the larger i % 6."""
    random = np.random.default_rng(0)
    sharp = random.integers(0, 256, (18, SIDE, SIDE, 3), np.uint8)
    return np.stack([blur(image, "gaussian", 0.3 + i % 6) for i, image in enumerate(sharp)])


@pytest.fixture(scope="session")
def data(pixels: np.ndarray) -> TrainingData:
    """Twelve images to train on and six to validate; the lower the score, the sharper."""
    splits = ["train"] * 12 + ["validation"] * 6
    rows = [
        {
            "image": f"i{i}",
            "uri": f"nowhere/{i}.png",
            "crop": None,
            "source": f"i{i}",
            "split": split,
            "hidden_blur": None,
            "score": float(i % 6),
        }
        for i, split in enumerate(splits)
    ]
    pairs = [
        {"better": f"i{i}", "worse": f"i{j}", "split": splits[i]}
        for i in range(18)
        for j in range(18)
        if splits[i] == splits[j] and i % 6 < j % 6
    ]
    dataset = Dataset(
        name="made up",
        images=pa.Table.from_pylist(rows, IMAGE_SCHEMA),
        pairs=pa.Table.from_pylist(pairs, PAIR_SCHEMA),
        higher_is_better=False,
        score_name="blur",
        annotator="none",
    )
    return TrainingData(dataset, array_loader(pixels))


@pytest.fixture(scope="session")
def tiny_config() -> MakeConfig:
    """The smallest configuration that trains: a shallow network and few rows per step."""

    def make(**values: object) -> SSRankingConfig:
        small = {
            "backbone": "shallow",
            "image_size": SIDE,
            "input_size": SIDE,
            "labelled_pairs": 4,
            "unlabelled_sets": 2,
            "learning_rate": 0.05,
            "steps": 10,
        }
        return make_config(SSRankingConfig, small | values)

    return make
