"""QCN small enough to train in a second, for the tests of its method."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from rankloop.images import resize_short_side
from rankloop.methods.configuration import make_config
from rankloop.methods.method import TrainingData
from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_config import QCNConfig
from rankloop.streams.batches import plain_batches

MakeConfig = Callable[..., QCNConfig]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def make() -> MakeConfig:
    def make(**values: object) -> QCNConfig:
        small = {
            "backbone": "resnet18",
            "weights": "none",
            "short_side": 32,
            "channels": 16,
            "pivots": 5,
            "images": 4,
            "lists": 2,
            "transformers": 2,
            "frozen_statistics": False,
            "learning_rate": 0.001,
            "steps": 10,
        }
        return make_config(QCNConfig, small | values)

    return make


def built_model(config: QCNConfig, shapes: TrainingData, seed: int = 0) -> Any:
    model = QCN.build(config, seed)
    QCN.initialise(model, config, shapes)
    return model


def step_batch(config: QCNConfig, shapes: TrainingData, step: int = 0) -> Any:
    return next(plain_batches(QCN.streams(config, shapes, 0), step, step + 1))


def network_image(image: np.ndarray) -> torch.Tensor:
    """Return an image as the network sees it, uint8 (1, 3, h, w)."""
    return torch.from_numpy(resize_short_side(image, 32, 64)).permute(2, 0, 1)[None]
