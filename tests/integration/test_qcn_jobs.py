"""Jobs of QCN and GOL as a user runs them, on labelled photographs."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from job_processes import ROOT, environment, finish, start

from scored_photos import write_scored_photos

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return write_scored_photos(folder)


@pytest.fixture
def data(photos: Path) -> list[str]:
    return ["--data", f"csv:{photos}/scores.csv?higher_is_better=true"]


@pytest.mark.parametrize("method", ["qcn", "gol"])
def test_a_scorer_is_trained_and_scores_photographs_of_any_shape(tmp_path, data, photos, method):
    options = ["--smoke", *data, "--steps", "6", "--workers", "2"]
    output, folder = finish(start("train.py", tmp_path / "results", method, *options))
    result = json.loads((folder / "result.json").read_text())
    drawn = {path.name for path in (folder / "plots").iterdir()}
    of_method = {
        "qcn": {"first_batch_lists.png", "arrangement.png"},
        "gol": {"first_batch_labelled.png"},
    }
    assert of_method[method] <= drawn
    assert {"test_scores.png", "test_images.png"} <= drawn
    if method == "qcn":
        assert result["metrics"]["test"]["spread_over_auxiliary_images"] >= 0
        assert "spread over auxiliary images" in output
    scores = tmp_path / "scores.csv"
    _score(folder, photos, scores)
    rows = list(csv.DictReader(scores.open()))
    assert rows
    assert all(row["score"] and not row["error"] for row in rows)
    # The same through Ray Data, where photographs of several shapes travel together.
    again = tmp_path / "again.csv"
    _score(folder, photos, again, "--workers", "2")
    other = {row["image"]: float(row["score"]) for row in csv.DictReader(again.open())}
    assert other == {row["image"]: pytest.approx(float(row["score"]), abs=1e-3) for row in rows}


@pytest.mark.parametrize("method", ["qcn", "gol"])
def test_a_campaign_asks_for_labels_by_certainty(tmp_path: Path, data, method):
    options = ["--smoke", "--cycles", "1", *data, "--steps", "6"]
    output, folder = finish(start("active_learning.py", tmp_path / "results", method, *options))
    selected = json.loads((folder / "cycle-001" / "selected.json").read_text())["items"]
    assert selected
    for number in (1, 2):
        trained = json.loads((folder / f"cycle-00{number}" / "trained.json").read_text())
        assert "srocc" in trained["metrics"]["test"]
    assert "labelled items" in output


def _score(folder: Path, photos: Path, output: Path, *options: str) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "jobs" / "score.py"), str(folder), str(photos)),
            *("--output", str(output), *options),
        ],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_sweep_starts_with_the_papers_values_beside_plain_regression(tmp_path: Path, data):
    options = ["--smoke", *data, "--trials", "3", "--steps", "6", "--pivot-counts", "5", "3"]
    output, folder = finish(start("tune_qcn.py", tmp_path / "results", *options))
    result = json.loads((folder / "result.json").read_text())
    first = json.loads((folder / "runs" / "trial-0000" / "result.json").read_text())
    paper = {"pivots": 5, "transformers": 3, "learning_rate": 5e-5, "layout": "paper"}
    assert {name: first["config"][name] for name in paper} == paper
    assert set(result["metrics"]) == {"best", "best_supervised", "paper", "paper_supervised"}
    assert "plain regression" in output


def test_rows_of_a_study_are_trained_beside_the_papers_numbers(tmp_path: Path, data):
    output, folder = finish(
        start(
            *("compare_qcn.py", tmp_path / "results", "--smoke", *data, "--steps", "4"),
            *("--study", "losses", "--only", "I: MAE", "IV: and order", "--splits", "2"),
        )
    )
    result = json.loads((folder / "result.json").read_text())
    assert list(result["metrics"]) == ["I: MAE", "IV: and order"]
    assert len(result["metrics"]["I: MAE"]["test"]["srocc"]) == 2
    assert result["paper"]["I: MAE"] == {"SROCC": 0.855, "PLCC": 0.866}
    assert "0.8550" in output
    assert "test PLCC" in output


def test_gol_and_plain_regression_are_compared_with_qcn(tmp_path: Path, data):
    output, folder = finish(
        start(
            *("compare_qcn.py", tmp_path / "results", "--smoke", *data, "--steps", "4"),
            *("--study", "gol"),
        )
    )
    result = json.loads((folder / "result.json").read_text())
    assert list(result["metrics"]) == ["GOL", "QCN", "plain regression"]
    (gol,) = (folder / "gol" / "split-0" / "runs").glob("*/result.json")
    config = json.loads(gol.read_text())["config"]
    assert (config["images"], config["references"], config["steps"]) == (12, 5, 4)
    assert (folder / "plots" / "comparison.png").is_file()
    assert "GOL" in output


def test_models_are_evaluated_across_datasets(tmp_path: Path, photos: Path):
    sources = [f"csv:{photos}/scores.csv?higher_is_better={name}" for name in ("true", "false")]
    options = ["--smoke", "--data", *sources, "--steps", "4", "--study", "cross"]
    output, folder = finish(start("compare_qcn.py", tmp_path / "results", *options))
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert set(metrics) == set(sources)
    for one in sources:
        assert set(metrics[one]) == set(sources)
    # The same photographs with the opposite meaning of their scores.
    one, other = sources
    assert set(metrics[one][other]) == {"srocc", "plcc", "mae"}
    assert "its test split" in output
    again, same = finish(start("compare_qcn.py", tmp_path / "results", *options))
    assert same == folder
    assert "evaluating the model" not in again
