"""Figures of a finished run."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, Dataset
from rankloop.methods.method import Arrangement, TrainingData
from rankloop.training import publishing
from rankloop.training.evaluation import Evaluation

# Of the image of each row; the last two have none.
LABELS = [float(label) for label in np.random.default_rng(0).permutation(30)[:22]]


def _data(higher_is_better: bool) -> TrainingData:
    rows = [
        {"image": f"i{row}", "uri": f"nowhere/{row}.png", "source": f"i{row}", "split": "test"}
        | {"score": LABELS[row] if row < 22 else None}
        for row in range(24)
    ]
    dataset = Dataset(
        name="made up",
        images=pa.Table.from_pylist(rows, IMAGE_SCHEMA),
        pairs=pa.Table.from_pylist([], PAIR_SCHEMA),
        higher_is_better=higher_is_better,
        score_name="MOS" if higher_is_better else "DMOS",
        annotator="none",
    )
    return TrainingData(dataset, lambda row: np.full((20, 30, 3), 10 * row, np.uint8))


def _final(scores: np.ndarray) -> Any:
    evaluation = Evaluation(np.arange(24), scores, {})
    return SimpleNamespace(evaluations={"test": evaluation}, model=None, config=None)


@pytest.mark.parametrize("labels_higher", [True, False])
@pytest.mark.parametrize("scores_higher", [True, False])
def test_the_worst_misses_are_those_ranked_furthest_from_their_place(labels_higher, scores_higher):
    # On another scale than the labels, and good but for two images.
    quality = np.array([*(LABELS if labels_higher else [-one for one in LABELS]), 0, 0])
    best, worst = int(quality[:22].argmax()), int(quality[:22].argmin())
    scores = 400 + 7 * quality
    scores[best], scores[worst] = scores[worst] - 1, scores[best] + 1
    given = scores if scores_higher else -scores
    method: Any = SimpleNamespace(higher_is_better=scores_higher, higher_means="")
    figure = publishing._misses(method, _final(given), _data(labels_higher))
    assert figure is not None
    rows = [[axes.get_title() for axes in row.axes if axes.images] for row in figure.subfigs]
    names = [row.get_suptitle() for row in figure.subfigs]
    name = "MOS, higher is better" if labels_higher else "DMOS, lower is better"
    assert names == [
        f"ranked too low: score ({name})",
        "ranked too high",
        "nearest to the right rank",
    ]
    assert [len(row) for row in rows] == [publishing.MISSES] * 3
    assert rows[0][0] == f"{given[best]:.4g} ({LABELS[best]:.4g})"
    assert rows[1][0] == f"{given[worst]:.4g} ({LABELS[worst]:.4g})"
    assert rows[0][0] not in rows[2]


def test_too_few_images_or_equal_scores_have_no_misses():
    method: Any = SimpleNamespace(higher_is_better=True)
    assert publishing._misses(method, _final(np.zeros(24)), _data(True)) is None
    few: Any = SimpleNamespace(evaluations={"test": Evaluation(np.arange(9), np.arange(9.0), {})})
    assert publishing._misses(method, few, _data(True)) is None


def test_images_without_a_label_are_not_arranged():
    asked = []

    def arrangement(model: Any, config: Any, data: Any, rows: np.ndarray) -> Arrangement:
        asked.append(rows)
        dice = np.random.default_rng(0)
        stage = (dice.normal(size=(len(rows), 4)), dice.normal(size=(5, 4)))
        return Arrangement([stage], np.arange(5.0), rows)

    method: Any = SimpleNamespace(arrangement=arrangement)
    figure = publishing._arrangement(method, _final(np.arange(24.0)), _data(False))
    assert asked[0].tolist() == list(range(22))
    assert figure is not None
    images, _ = figure.axes[0].collections
    np.testing.assert_allclose(images.get_array(), [-label for label in LABELS])
