"""Ranked sets as they are shown: which images break the order."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, Dataset
from rankloop.errors import ImageError
from rankloop.methods.method import TrainingData
from rankloop.ranking.ranked_set import RankedSet
from rankloop.training import scored_sets

LEVELS = np.array([[0], [1], [2], [3]])


def _set(image: np.ndarray, generator: np.random.Generator, config: Any) -> RankedSet:
    """Four greys in any order, from a source that is too dark now and then."""
    if image[0, 0, 0] % 3 == 0:
        raise ImageError("too dark")
    greys = generator.choice(np.arange(10, 250), 4, replace=False).astype(np.uint8)
    return RankedSet(np.broadcast_to(greys[:, None, None, None], (4, 5, 6, 3)).copy(), LEVELS)


def _data() -> TrainingData:
    rows = [
        {"image": f"i{row}", "uri": f"nowhere/{row}.png", "source": f"i{row}", "split": "test"}
        for row in range(12)
    ]
    tables = [pa.Table.from_pylist(rows, IMAGE_SCHEMA), pa.Table.from_pylist([], PAIR_SCHEMA)]
    dataset = Dataset("made up", *tables, higher_is_better=True, score_name="x", annotator="none")
    return TrainingData(dataset, lambda row: np.full((5, 6, 3), row, np.uint8))


@pytest.mark.parametrize("higher", [True, False])
def test_an_image_that_scores_beyond_one_that_ranks_above_it_is_a_violation(higher, monkeypatch):
    method: Any = SimpleNamespace(
        higher_is_better=higher,
        higher_means="",
        ranked_set=_set,
        predict=lambda model, images: images.float().mean(dim=(1, 2, 3)),
    )
    model = torch.nn.Linear(1, 1)
    final: Any = SimpleNamespace(
        config=None, model=model, evaluations={"test": SimpleNamespace(images=np.arange(12))}
    )
    drawn: list[Any] = []
    monkeypatch.setattr(scored_sets, "ranked_scores_figure", lambda *given: drawn.extend(given))
    scored_sets.scored_sets_figure(method, final, _data())
    sets, title = drawn
    assert len(sets) == 6
    assert not {"i0", "i3", "i6", "i9"} & {one.name for one in sets}
    broken = 0
    for one in sets:
        np.testing.assert_allclose(one.scores, one.images[:, 0, 0, 0])
        for j, violates in enumerate(one.violations):
            above = [one.scores[i] for i in range(j)]
            beyond = [s for s in above if (s <= one.scores[j] if higher else s >= one.scores[j])]
            assert violates == bool(beyond)
            broken += violates
    assert f"{broken} of 24 images violate the order" in title
    assert ("higher scores mean" if higher else "lower scores mean") in title
    again: list[Any] = []
    monkeypatch.setattr(scored_sets, "ranked_scores_figure", lambda *given: again.extend(given))
    scored_sets.scored_sets_figure(method, final, _data())
    assert [one.name for one in again[0]] == [one.name for one in sets]
