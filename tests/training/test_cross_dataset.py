"""One dataset's model on another's images: scales are mapped, directions are turned."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from labelled_shapes import SCORES, load, shapes
from rankloop.datasets.arrow import with_column
from rankloop.errors import DataError, ImageError
from rankloop.methods.method import TrainingData
from rankloop.training.cross_dataset import cross_dataset_metrics

__all__ = ["shapes"]


class _Noise(torch.nn.Module):
    """Scores by noise: roughly the labels of the made-up images."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -images.float().diff(dim=3).abs().mean(dim=(1, 2, 3))


METHOD = SimpleNamespace(
    higher_is_better=True,
    views=lambda image, config: image[np.newaxis],
    predict=lambda model, images: model(images),
    row_views=None,
)


def _with_scores(data: TrainingData, scale: float, shift: float, higher: bool) -> TrainingData:
    scores = [
        None if s is None else shift + scale * s for s in data.dataset.images["score"].to_pylist()
    ]
    images: pa.Table = with_column(data.dataset.images, "score", scores)
    return replace(data, dataset=replace(data.dataset, images=images, higher_is_better=higher))


@pytest.mark.parametrize(("scale", "higher"), [(0.04, True), (-0.04, False)])
def test_metrics_are_those_of_all_labelled_images_on_the_other_scale(shapes, scale, higher):
    other = _with_scores(shapes, scale, 5.0, higher)
    found = cross_dataset_metrics(METHOD, None, _Noise(), shapes, other, torch.device("cpu"))
    labels = np.array([*SCORES, *SCORES[:6]])
    with torch.no_grad():
        scores = np.array(
            [float(_Noise()(torch.tensor(load(i)).permute(2, 0, 1)[None])) for i in range(18)]
        )
    assert found["srocc"] == pytest.approx(spearmanr(scores, labels)[0])
    assert found["srocc"] > 0.5
    assert found["plcc"] == pytest.approx(pearsonr(scores, labels)[0], abs=1e-5)
    # Labels of 0 to 100 become 0 to 4 of the other scale, whichever end is the better one.
    assert found["mae"] == pytest.approx(np.abs(0.04 * scores - 0.04 * labels).mean(), rel=1e-5)


def test_images_that_cannot_be_read_are_left_out_but_some_are_needed(shapes):
    def gone(row: int) -> np.ndarray:
        if row:
            raise ImageError("gone")
        return load(row)

    device = torch.device("cpu")
    with pytest.raises(DataError, match="1 labelled images of made up can be read"):
        cross_dataset_metrics(METHOD, None, _Noise(), shapes, replace(shapes, load=gone), device)


def test_only_labels_that_were_learned_from_are_mapped(shapes):
    images = shapes.dataset.images
    # The highest score is of an image to test on.
    splits = [
        "test" if score == 100.0 else split
        for score, split in zip(
            images["score"].to_pylist(), images["split"].to_pylist(), strict=True
        )
    ]
    images = with_column(images, "split", splits)
    learned = replace(shapes, dataset=replace(shapes.dataset, images=images))
    device = torch.device("cpu")
    whole = cross_dataset_metrics(METHOD, None, _Noise(), shapes, shapes, device)
    part = cross_dataset_metrics(METHOD, None, _Noise(), learned, shapes, device)
    assert part["srocc"] == whole["srocc"]
    labels = np.array([*SCORES, *SCORES[:6]])
    with torch.no_grad():
        scores = np.array(
            [float(_Noise()(torch.tensor(load(i)).permute(2, 0, 1)[None])) for i in range(18)]
        )
    # Labels of 0 to 90 were learned from, and become 0 to 100.
    assert part["mae"] == pytest.approx(np.abs(scores / 0.9 - labels).mean(), rel=1e-5)
