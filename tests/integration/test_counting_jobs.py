"""Counting's jobs as a user runs them, on photographs with discs."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from job_processes import finish, start
from PIL import Image

from rankloop.scoring.table import read_rows

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
    (count,) = (row.score for row in read_rows(table))
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
    # The paper has no numbers of discs.
    assert not any(result["paper"].values())
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
    assert "of these, for transfer" in output
    assert f"tested on csv:{target}" in found["data"]["name"]


def _ucsd(folder: Path, dice: np.random.Generator) -> Path:
    """Two frames of each clip with random people, and a region that leaves out the right half."""
    labels = folder / "vidf-cvpr"
    labels.mkdir(parents=True)
    mask = np.zeros((158, 238), np.uint8)
    mask[:, :119] = 1
    scipy.io.savemat(labels / "vidf1_33_roi_mainwalkway.mat", {"roi": {"mask": mask, "xi": [1]}})
    for clip in (f"vidf1_33_{number:03}" for number in range(10)):
        (folder / "vidf" / f"{clip}.y").mkdir(parents=True)
        frames = np.empty((1, 2), object)
        for frame in range(2):
            image = dice.integers(0, 256, (158, 238), np.uint8)
            Image.fromarray(image).save(
                folder / "vidf" / f"{clip}.y" / f"{clip}_f{frame + 1:03}.png"
            )
            people = dice.uniform(1, [238, 158], (int(dice.integers(2, 9)), 2))
            frames[0, frame] = {"loc": people}
        scipy.io.savemat(labels / f"{clip}_frame_full.mat", {"frame": frames})
    return folder


def test_each_fold_is_tested_with_crops_of_the_others(tmp_path: Path):
    data = f"ucsd:{_ucsd(tmp_path / 'ucsd', np.random.default_rng(0))}"
    options = ("--data", data, "--each-fold", "--only", "Multi-task (Ours)")
    output, folder = finish(start("compare_counting.py", tmp_path / "results", *SHORT, *options))
    result = _result(folder)
    assert result["splits"] == [1, 2]
    assert result["paper"] == {"Multi-task (Ours)": {"MAE": 1.17, "RMSE": 1.55}}
    assert len(result["metrics"]["Multi-task (Ours)"]["test"]["mae"]) == 2
    for fold, tested in ((1, 3), (2, 3)):
        assert f"split {fold} ({fold} of 2)" in output
        split = _result(folder / f"split-{fold}")["split"]
        assert split["test"]["images"] == 2 * tested
        # Four labelled clips, and the three that are not tested on for crops.
        assert split["train"]["images"] + split["validation"]["images"] == 2 * (4 + 6 - tested)


def test_strategies_are_compared_at_the_same_shares(tmp_path: Path):
    options = (*SHORT, "--study", "active", "--workers", "0", "--certainty-pairs", "20")
    output, folder = finish(start("compare_counting.py", tmp_path / "results", *options))
    metrics = _result(folder)["metrics"]
    assert list(metrics) == ["certainty", "random"]
    assert list(metrics["certainty"]["test"]) == list(metrics["random"]["test"])
    first = [found["test"]["mae/cycle 1, 29.2 %"] for found in metrics.values()]
    # Both begin with the same photographs.
    assert first[0] == first[1]
    assert (folder / "plots" / "learning_curves.png").is_file()
    assert "test MAE, certainty" in output


def test_a_campaign_marks_held_out_heads_until_all_are_known(tmp_path: Path):
    options = ("counting", *SHORT, "--cycles", "1", "--certainty-pairs", "20")
    output, campaign = finish(start("active_learning.py", tmp_path / "results", *options))
    cycles = sorted(campaign.glob("cycle-*/trained.json"))
    trained = [json.loads(path.read_text()) for path in cycles]
    # Cycle 1 asks once, and cycle 2 trains on the answers.
    assert [path.parent.name for path in cycles] == ["cycle-001", "cycle-002"]
    assert trained[0]["labels"] < trained[1]["labels"]
    asked = json.loads((campaign / "cycle-001" / "selected.json").read_text())["items"]
    assert trained[1]["labels"] - trained[0]["labels"] == len(asked) > 0
    for one in trained:
        assert one["metrics"]["test"]["rmse"] >= one["metrics"]["test"]["mae"] > 0
    assert (campaign / "plots" / "learning_curve_mae.png").is_file()
    assert (campaign / "cycle-001" / "plots" / "selected.png").is_file()
    assert "cycle 2 was the last" in output
