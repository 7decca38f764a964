"""Density maps beside the scores of a counting model: their sums are the scores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rankloop.errors import ConfigError, StorageError
from rankloop.methods.configuration import make_config
from rankloop.methods.counting import COUNTING
from rankloop.methods.counting_config import CountingConfig
from rankloop.scoring.bulk import score_paths
from rankloop.scoring.density import map_files, score_by_density
from rankloop.scoring.scorer import load_scorer
from rankloop.scoring.table import read_rows
from rankloop.storage import open_folder
from rankloop.training.checkpoints import Checkpoint, save_checkpoint


def test_each_image_gets_a_map_whose_sum_is_its_score(counter, photos, tmp_path):
    score_paths(counter, photos, tmp_path / "plain.csv", batch_size=3)
    maps = tmp_path / "maps"
    summary = score_paths(counter, photos, tmp_path / "counts.csv", batch_size=3, density=maps)
    assert (summary.scored, summary.failed) == (10, 2)
    plain = list(read_rows(tmp_path / "plain.csv"))
    rows = list(read_rows(tmp_path / "counts.csv"))
    for before, row in zip(plain, rows, strict=True):
        file = maps / f"{Path(row.image).name}.npy"
        assert file.exists() == (row.score is not None)
        assert before.error == row.error
        if row.score is None:
            continue
        density = np.load(file)
        assert density.dtype == np.float32
        with Image.open(row.image) as photo, Image.open(file.with_suffix(".png")) as picture:
            assert density.shape == (-(-photo.height // 16), -(-photo.width // 16))
            assert picture.size == photo.size
            colors = np.asarray(picture)
        assert row.score == pytest.approx(float(density.sum()), rel=1e-5)
        assert row.score == pytest.approx(before.score, rel=1e-5)
        # Every cell is where it was seen, and the most people where the picture is brightest.
        brightness = colors.sum(axis=2)
        cells = np.array(
            [
                [brightness[16 * r, 16 * c] for c in range(density.shape[1])]
                for r in range(len(density))
            ]
        )
        assert cells[np.unravel_index(density.argmax(), density.shape)] == brightness.max()
        whole = cells.repeat(16, 0).repeat(16, 1)[: photo.height, : photo.width]
        np.testing.assert_array_equal(brightness, whole)


def test_a_call_that_was_cut_off_goes_on_and_writes_all_maps(counter, photos, tmp_path):
    maps, output = tmp_path / "maps", tmp_path / "counts.csv"

    def cut(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_paths(counter, photos, output, batch_size=2, density=maps, on_progress=cut)
    assert len(list(maps.iterdir())) < 20
    seen: list[int] = []
    score_paths(
        counter,
        photos,
        output,
        batch_size=2,
        density=maps,
        on_progress=lambda done, total: seen.append(done),
    )
    assert seen[0] >= 2
    assert len(list(maps.iterdir())) == 20


def test_a_call_with_another_folder_begins_again(counter, photos, tmp_path):
    def cut(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    output = tmp_path / "counts.csv"
    with pytest.raises(KeyboardInterrupt):
        score_paths(
            counter, photos, output, batch_size=2, density=tmp_path / "one", on_progress=cut
        )
    score_paths(counter, photos, output, batch_size=2, density=tmp_path / "other")
    assert len(list((tmp_path / "other").iterdir())) == 20


def test_counts_below_0_are_counted(counter, photos, tmp_path):
    assert score_paths(counter, photos, tmp_path / "a.csv").negative == 0
    checkpoint = load_scorer(counter)
    checkpoint.model.density.bias.data.fill_(-0.3)
    identity = {"method": "counting", "seed": 0, "higher_is_better": True}
    identity["config"] = make_config(CountingConfig, dict(COUNTING.smoke)).model_dump(mode="json")
    below = Checkpoint(0, checkpoint.model.state_dict(), {}, identity, {})
    location = save_checkpoint(open_folder(str(tmp_path / "below")), "checkpoint", below)
    summary = score_paths(str(location), photos, tmp_path / "b.csv")
    scores = [row.score for row in read_rows(tmp_path / "b.csv") if row.score is not None]
    assert summary.negative == sum(score < 0 for score in scores) > 0


def test_a_map_that_is_not_finite_is_an_error_and_no_file(counter, tmp_path):
    scorer = load_scorer(counter)
    scorer.model.density.bias.data.fill_(float("nan"))
    views = np.zeros((1, 32, 48, 3), np.uint8)
    folder = open_folder(str(tmp_path))
    found = score_by_density(scorer, [views, "broken"], folder, ["a", "b"])
    assert found == [(None, "the density map is not finite"), (None, "broken")]
    assert not list(tmp_path.iterdir())


def test_maps_keep_the_folders_of_their_images(tmp_path):
    files = map_files(["/data/a/1.jpg", "/data/b/1.jpg", "/data/b/c/2.png"])
    assert files == ["a/1.jpg", "b/1.jpg", "b/c/2.png"]
    assert map_files(["s3://x/y/1.jpg"]) == ["1.jpg"]
    with pytest.raises(ConfigError, match=r"s3://x/1\.jpg and gs://x/1\.jpg would both be"):
        map_files(["s3://x/1.jpg", "gs://x/1.jpg"])
    mixed = map_files(["s3://x/1.jpg", "/data/1.jpg", "named/in/the/data.jpg"])
    assert len(set(mixed)) == 3
    assert not any(file.startswith(("/", "..")) for file in mixed)
    for outside in ("s3://b/a/../../../../home/u/x.jpg", "http://h/a.jpg?x=/../../../../../y"):
        for file in map_files(["s3://b/a/1.jpg", outside]):
            assert (tmp_path / file).resolve().is_relative_to(tmp_path)


def test_maps_of_other_methods_and_of_many_workers_are_refused(
    counter: str, checkpoint: str, photos: list[str], tmp_path: Path
) -> None:
    score: Callable[..., object] = score_paths
    with pytest.raises(ConfigError, match="ssranking makes no density maps: counting does"):
        score(checkpoint, photos, tmp_path / "a.csv", density=tmp_path)
    with pytest.raises(ConfigError, match="ssranking makes no density maps: counting does"):
        load_scorer(checkpoint).density(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ConfigError, match="2 workers: density maps are written by one process"):
        score(counter, photos, tmp_path / "a.csv", density=tmp_path, workers=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*: give another folder"):
        score(counter, photos, tmp_path / "a.csv", density=tmp_path / "file")
