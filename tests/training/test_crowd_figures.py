"""Pictures of counting: the heads and the region of the image that is shown."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rankloop.datasets.arrow import with_column
from rankloop.datasets.loaders import file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.images import encode
from rankloop.methods.configuration import make_config
from rankloop.methods.counting import COUNTING
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.method import TrainingData
from rankloop.training import crowd_figures
from rankloop.training.evaluation import evaluate
from small_training import one_thread

__all__ = ["one_thread"]


@pytest.fixture
def counted() -> TrainingData:
    """Discs of which the left 90 of 160 columns are the region of interest."""
    dataset = open_dataset(["discs"], seed=0, learns_from="points")
    mask = np.zeros((160, 160, 3), np.uint8)
    mask[:, :90] = 255
    within = [[point for point in points if round(point[0]) < 90]
              for points in dataset.images["points"].to_pylist()]  # fmt: skip
    images = with_column(dataset.images, "region", [encode(mask)] * len(within))
    images = with_column(images, "points", within)
    images = with_column(images, "score", [float(len(points)) for points in within])
    dataset = replace(dataset, images=images)
    return TrainingData(dataset, file_loader(dataset, None))


@pytest.mark.usefixtures("one_thread")
def test_shown_densities_are_those_that_are_counted(counted, monkeypatch):
    config = make_config(CountingConfig, dict(COUNTING.smoke))
    model: Any = COUNTING.build(config, 0).eval()
    model.density.bias.data.fill_(0.1)
    test = evaluate(COUNTING, config, model, counted, "test", torch.device("cpu"))
    final: Any = SimpleNamespace(config=config, model=model, evaluations={"test": test})
    shown: list[Any] = []
    monkeypatch.setattr(crowd_figures, "density_figure", shown.extend)
    figures = crowd_figures.crowd_figures(COUNTING, final, counted)
    assert list(figures) == ["test_density.png", "test_count_errors.png"]
    counts = [one.count for one in shown]
    assert counts == sorted(counts)
    assert len(counts) == 6
    names = counted.dataset.images["image"].to_pylist()
    scores = {names[row]: score for row, score in zip(test.images, test.scores, strict=True)}
    truths = dict(zip(names, counted.dataset.images["score"].to_pylist(), strict=True))
    for one in shown:
        assert one.count == truths[one.name]
        assert one.truth.shape == one.estimate.shape == (10, 10)
        # The sixth column of cells is in the region by ten pixels of sixteen.
        assert not one.truth[:, 6:].any()
        assert not one.estimate[:, 6:].any()
        assert one.truth.sum() == pytest.approx(one.count, abs=1e-3)
        assert one.estimate.sum() == pytest.approx(scores[one.name], rel=1e-4)


def test_other_methods_have_no_such_pictures(counted):
    other = replace(COUNTING, density=None)
    assert crowd_figures.crowd_figures(other, SimpleNamespace(), counted) == {}  # type: ignore[arg-type]
