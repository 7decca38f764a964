from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from rankloop.errors import CheckpointError, ConfigError
from rankloop.methods.method import Method
from rankloop.scoring import bulk, pipeline
from rankloop.scoring.bulk import score_paths
from rankloop.scoring.pipeline import scores_in_process
from rankloop.scoring.scorer import load_scorer
from rankloop.scoring.table import read_rows
from rankloop.storage import Folder

CORRUPT = (2, 11)


def test_every_image_has_a_row_in_order_corrupt_ones_with_the_reason(
    checkpoint: str, photos: list[str], tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    summary = score_paths(
        checkpoint,
        photos[::-1],
        tmp_path / "scores.csv",
        batch_size=5,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    rows = list(read_rows(tmp_path / "scores.csv"))[::-1]
    assert [row.image for row in rows] == photos
    scorer = load_scorer(checkpoint)
    for i, row in enumerate(rows):
        if i in CORRUPT:
            assert row.score is None
            assert row.error
            assert row.image not in row.error
        else:
            assert row.score == pytest.approx(scorer.score_image(row.image), abs=1e-5)
            assert row.error == ""
    assert len({row.score for row in rows}) > 5
    assert seen == [(0, 12), (5, 12), (10, 12), (12, 12)]
    assert (summary.scored, summary.failed) == (10, 2)
    assert [image for image, _ in summary.failures] == [photos[11], photos[2]]
    assert summary.failures[1] == (photos[2], rows[2].error)
    assert summary.higher_is_better
    assert summary.method == "ssranking"


def test_parquet_holds_the_same(checkpoint: str, photos: list[str], tmp_path: Path) -> None:
    score_paths(checkpoint, photos, tmp_path / "a.csv", batch_size=4)
    score_paths(checkpoint, photos, tmp_path / "a.parquet", batch_size=4)
    rows = [(row.image, row.score, row.error or None) for row in read_rows(tmp_path / "a.csv")]
    table = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [tuple(row.values()) for row in table] == rows


def test_a_run_that_was_cut_off_goes_on_to_the_same_table(
    checkpoint: str, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_paths(checkpoint, photos, tmp_path / "whole.csv", batch_size=3)

    def stop(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    output = tmp_path / "resumed.csv"
    with pytest.raises(KeyboardInterrupt):
        score_paths(checkpoint, photos, output, batch_size=3, on_progress=stop)
    assert not output.exists()

    read: list[object] = []
    original = pipeline.read_views

    def counting(image: bytes | str, method: Method, config: Any) -> np.ndarray:
        read.append(image)
        return original(image, method, config)

    monkeypatch.setattr(pipeline, "read_views", counting)
    summary = score_paths(checkpoint, photos, output, batch_size=3)
    assert sorted(map(str, read)) == photos[6:]
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    # The failures found before the interruption are in the summary too.
    assert (summary.scored, summary.failed) == (10, 2)
    assert summary.failures[0][0] == photos[2]
    assert not list(tmp_path.glob("*.partial"))


def test_another_model_starts_again(
    checkpoint: str, photos: list[str], tmp_path: Path, save_scorer: Callable[..., Folder]
) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    output = tmp_path / "a.csv"
    with pytest.raises(KeyboardInterrupt):
        score_paths(checkpoint, photos, output, batch_size=6, on_progress=stop)
    other = save_scorer(tmp_path, seed=9)
    score_paths(other, photos, output)
    expected = load_scorer(other).score_image(photos[0])
    assert next(read_rows(output)).score == pytest.approx(expected, abs=1e-5)


def test_images_that_are_all_corrupt_still_make_a_table(
    checkpoint: str, photos: list[str], tmp_path: Path
) -> None:
    summary = score_paths(checkpoint, [photos[2]] * 12, tmp_path / "a.csv")
    assert (summary.scored, summary.failed, len(summary.failures)) == (0, 12, 10)
    assert len(list(read_rows(tmp_path / "a.csv"))) == 12


def test_an_image_that_vanished_is_a_row_with_a_reason(
    checkpoint: str, photos: list[str], tmp_path: Path
) -> None:
    Path(photos[0]).unlink()
    assert score_paths(checkpoint, photos, tmp_path / "a.csv").failed == 3
    assert "does not exist" in next(read_rows(tmp_path / "a.csv")).error


@pytest.mark.parametrize("options", [{"workers": 0}, {"batch_size": 0}])
def test_numbers_below_one_are_refused(
    checkpoint: str, photos: list[str], tmp_path: Path, options: dict[str, int]
) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        score_paths(checkpoint, photos, tmp_path / "a.csv", **options)  # type: ignore[arg-type]


def test_nothing_is_written_without_a_checkpoint_or_format(
    checkpoint: str, photos: list[str], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError):
        score_paths(str(tmp_path / "none"), photos, tmp_path / "a.csv")
    with pytest.raises(ConfigError, match=r"neither \.csv nor \.parquet"):
        score_paths(checkpoint, photos, tmp_path / "a.xlsx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_ray_is_used_when_there_are_many_or_several_workers(
    checkpoint: str, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rankloop.scoring import distributed

    asked: list[int | None] = []

    def stand_in(
        checkpoint: object, size: int, uris: list[str], workers: int | None, batch_size: int
    ) -> list[list[pipeline.Score]]:
        asked.append(workers)
        return [[(0.5, "")] * len(uris)]

    monkeypatch.setattr(distributed, "scores_by_ray", stand_in)
    monkeypatch.setattr(bulk, "IN_PROCESS_LIMIT", 12)
    score_paths(checkpoint, photos, tmp_path / "a.csv")
    score_paths(checkpoint, [*photos, photos[0]], tmp_path / "a.csv", workers=1)
    assert asked == []
    score_paths(checkpoint, [*photos, photos[0]], tmp_path / "a.csv")
    score_paths(checkpoint, photos, tmp_path / "a.csv", workers=2)
    assert asked == [None, 2]


def test_several_threads_give_the_same_scores_and_leave_torch_as_it_was(
    checkpoint: str, photos: list[str]
) -> None:
    scorer = load_scorer(checkpoint)
    alone = [score for batch in scores_in_process(scorer, photos, 1) for score in batch]
    torch.set_num_threads(3)
    try:
        batches = list(scores_in_process(scorer, photos, 32))
        assert torch.get_num_threads() == 3
        stopped = scores_in_process(scorer, photos, 1)
        next(stopped)
        stopped.close()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(1)
    assert [len(batch) for batch in batches] == [4, 4, 4]
    together = [score for batch in batches for score in batch]
    for (score, error), (expected, reason) in zip(together, alone, strict=True):
        assert error == reason
        assert score == pytest.approx(expected, abs=1e-5)
