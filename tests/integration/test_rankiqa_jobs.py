"""jobs/tune_rankiqa.py and jobs/compare_rankiqa.py as a user runs them, on labelled photographs."""

import json
from pathlib import Path

import pytest
from job_processes import finish, start

from scored_photos import write_scored_photos

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    photos = tmp_path / "photos"
    photos.mkdir()
    write_scored_photos(photos)
    return ["--data", f"csv:{photos}/scores.csv?higher_is_better=true", f"folder:{photos}"]


def test_a_sweep_starts_with_the_papers_values_and_keeps_the_best(tmp_path: Path, data):
    options = ["--smoke", *data, "--trials", "3", "--steps", "8"]
    output, folder = finish(start("tune_rankiqa.py", tmp_path / "results", *options))
    result = json.loads((folder / "result.json").read_text())
    first = json.loads((folder / "runs" / "trial-0000" / "result.json").read_text())
    paper = {"ranking_weight": 1.0, "margin": 0.5, "learning_rate": 1e-5, "backbone": "shallow"}
    assert {name: first["config"][name] for name in paper} == paper
    assert result["trials"]["finished"] + result["trials"]["stopped_early"] == 3
    assert set(result["metrics"]) == {"best", "best_supervised", "paper", "paper_supervised"}
    assert f"{result['metrics']['best']['test']['srocc']:.4f}" in output
    assert (folder / "checkpoint").is_dir()
    _, same = finish(start("tune_rankiqa.py", tmp_path / "results", *options))
    assert same == folder
    assert json.loads((same / "result.json").read_text())["metrics"] == result["metrics"]


def test_rows_are_trained_on_several_splits(tmp_path: Path, data):
    rows = ["Baseline", "MT-RankIQA (Ours)"]
    output, folder = finish(
        start(
            *("compare_rankiqa.py", tmp_path / "results", "--smoke", *data, "--steps", "8"),
            *("--split", "80-20", "--splits", "2", "--seeds", "0", "1", "--only", *rows),
        )
    )
    result = json.loads((folder / "result.json").read_text())
    assert list(result["metrics"]) == rows
    assert result["splits"] == [0, 1]
    assert result["paper"]["Baseline"] == {"LCC": 0.663, "SROCC": 0.612}
    for row in rows:
        found = result["metrics"][row]["test"]["srocc"]
        assert len(found) == 4
        own = [
            json.loads((folder / f"split-{split}" / "result.json").read_text())["metrics"][row]
            for split in (0, 1)
        ]
        assert found == [value for each in own for value in each["test"]["srocc"]]
    assert "median" in output
    assert (folder / "plots" / "comparison.png").is_file()


@pytest.mark.parametrize(
    ("study", "row", "values"),
    [("levels", "2 levels", {"levels": [0, 1]}), ("photographs", "40 %", {"ladder_share": 0.4})],
)
def test_studies_vary_what_they_say(tmp_path: Path, data, study, row, values):
    _, folder = finish(
        start(
            *("compare_rankiqa.py", tmp_path / "results", "--smoke", *data, "--steps", "4"),
            *("--study", study, "--only", row),
        )
    )
    (run,) = (folder / "split-0" / "runs").glob("*/result.json")
    config = json.loads(run.read_text())["config"]
    assert {name: config[name] for name in values} == values
