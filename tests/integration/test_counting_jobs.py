"""Counting's jobs as a user runs them, on photographs with discs."""

import json
from pathlib import Path

import numpy as np
import pytest
from job_processes import finish, start
from PIL import Image

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SHORT = ("--smoke", "--steps", "4")


def _result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_training_shows_errors_and_pictures_and_its_model_counts(tmp_path: Path):
    options = ("counting", *SHORT, "--workers", "1")
    output, folder = finish(start("train.py", tmp_path / "results", *options))
    result = _result(folder)
    assert result["data"]["score_name"] == "count"
    test = result["metrics"]["test"]
    assert test["rmse"] >= test["mae"] > 0
    assert any(name.startswith("mae_spread/") for name in test)
    assert f"MAE {test['mae']:.4f}" in output
    assert "test error by count" in output
    names = {path.name for path in (folder / "plots").iterdir()}
    wanted = {"density", "count_errors", "ranked_sets", "scores"}
    assert {f"test_{name}.png" for name in wanted} <= names
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    table = tmp_path / "counts.csv"
    output, _ = finish(
        start(
            *("score.py", tmp_path / "results", str(folder), str(tmp_path / "photo.png")),
            *("--output", str(table), "--density", str(tmp_path / "maps")),
        )
    )
    assert "counting scores: higher is more people" in output
    count = float(table.read_text().splitlines()[1].split(",")[1])
    density = np.load(tmp_path / "maps" / "photo.png.npy")
    assert density.shape == (6, 5)
    assert count == pytest.approx(float(density.sum()), rel=1e-4)


def test_a_sweep_keeps_the_trial_with_the_least_error(tmp_path: Path):
    options = (*SHORT, "--trials", "3")
    output, folder = finish(start("tune_counting.py", tmp_path / "results", *options))
    result = _result(folder)
    assert result["selection_metric"] == "mae"
    errors = {}
    for run in (folder / "runs").glob("trial-*/result.json"):
        found = json.loads(run.read_text())
        if found["steps_trained"] == 4:
            errors[run.parent.name] = found["metrics"]["validation"]["mae"]
    best = f"trial-{result['best_trial']:04d}"
    assert errors[best] == min(value for name, value in errors.items() if "super" not in name)
    assert "test MAE" in output


def test_rows_of_the_ablation_are_trained_and_transfer_tests_on_the_target(tmp_path: Path):
    rows = ["Basic CNN", "Ranking+FT", "Multi-task (Hard)"]
    output, folder = finish(
        start("compare_counting.py", tmp_path / "results", *SHORT, "--only", *rows)
    )
    result = _result(folder)
    assert list(result["metrics"]) == rows
    assert result["paper"]["Basic CNN"] == {"MAE": 454.45}
    assert "mean ± standard deviation" in output
    target = tmp_path / "target"
    target.mkdir()
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 256, (64, 80, 3), np.uint8)
        Image.fromarray(image).save(target / f"{number}.png")
    lines = "\n".join(["image,count", *(f"{number}.png,{number}" for number in range(3))])
    (target / "counts.csv").write_text(lines)
    output, folder = finish(
        start(
            *("compare_counting.py", tmp_path / "results", *SHORT, "--study", "transfer"),
            *("--target", f"csv:{target}/counts.csv?higher_is_better=true&score=count"),
        )
    )
    found = _result(folder)
    assert found["split"]["test"]["images"] == 3
    assert list(found["metrics"]) == ["Counting only", "Multi-task"]
    assert "test RMSE" in output


def test_strategies_are_compared_at_the_same_shares(tmp_path: Path):
    options = (*SHORT, "--study", "active", "--workers", "0", "--certainty-pairs", "20")
    output, folder = finish(start("compare_counting.py", tmp_path / "results", *options))
    metrics = _result(folder)["metrics"]
    assert list(metrics) == ["certainty", "random"]
    assert list(metrics["certainty"]["test"]) == list(metrics["random"]["test"])
    first = [found["test"]["mae/cycle 0, 29.2 %"] for found in metrics.values()]
    # Both begin with the same photographs.
    assert first[0] == first[1]
    assert (folder / "plots" / "learning_curves.png").is_file()
    assert "test MAE, certainty" in output
