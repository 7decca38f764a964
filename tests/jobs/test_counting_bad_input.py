"""Jobs of counting refuse what cannot be, before they start anything."""

import runpy
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import scipy.io

from rankloop.images import encode

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("job", "arguments", "expected"),
    [
        ("tune_counting.py", ["--backbones"], "--backbones"),
        ("tune_counting.py", ["--crops", "4"], "--crops 4 would be ignored"),
        ("tune_counting.py", ["--objective", "counting"], "has no weight to sweep"),
        (
            "tune_counting.py",
            ["--ranked-images", "7"],
            "--ranked-images 7 hold no set of 8 crops, the most of the sweep: give at least 8",
        ),
        ("compare_counting.py", ["--pairs", "hard"], "--pairs hard would be ignored"),
        ("compare_counting.py", ["--only", "Basic"], "the nearest is 'Basic CNN'"),
        ("compare_counting.py", ["--study", "transfer"], "--target READER:PATH go together"),
        ("compare_counting.py", ["--target", "discs"], "--target READER:PATH go together"),
        ("compare_counting.py", ["--each-fold"], "one data source of ucf_cc_50:PATH"),
        (
            "compare_counting.py",
            ["--each-fold", "--study", "transfer", "--target", "discs"],
            "--each-fold is for --study ablation",
        ),
        ("compare_counting.py", ["--cycles", "3"], "are for --study active"),
        ("compare_counting.py", ["--study", "active", "--only", "x"], "--only has no rows"),
        ("compare_counting.py", ["--study", "active", "--splits", "2"], "give several --seeds"),
        ("compare_counting.py", ["--study", "active", "--cycle-share", "2"], "--cycle-share 2.0"),
        ("compare_counting.py", ["--study", "active", "--seeds", "1", "1"], "each once"),
        ("train.py", ["counting", "--tile-side", "100"], "tile_side 100 must be a multiple"),
    ],
)
def test_what_cannot_be_is_refused_at_once(job, arguments, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # The method of jobs/train.py comes first.
    given = [*arguments, "--data", "folder:nowhere"]
    monkeypatch.setattr(sys, "argv", [job, *given])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "jobs" / job), run_name="__main__")
    assert stopped.value.code not in (0, None)
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.fixture
def jobs(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    return lambda name: runpy.run_path(str(ROOT / "jobs" / name), run_name="imported")


def test_every_trial_can_be_trained_and_the_first_is_the_papers(jobs):
    jobs("tune_counting.py")
    from rankloop.methods.configuration import make_config
    from rankloop.methods.counting_config import CountingConfig
    from search_spaces import counting

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(40):
        trial = study.ask()
        values = counting.space(trial)
        assert trial.params == values
        make_config(CountingConfig, values)
    study.enqueue_trial(counting.PAPER)
    assert counting.space(study.ask()) == counting.PAPER
    defaults = CountingConfig()
    assert {name: getattr(defaults, name) for name in counting.PAPER} == counting.PAPER


def test_the_fewest_ranked_images_of_a_sweep_hold_the_most_crops(jobs):
    jobs("tune_counting.py")
    from rankloop.methods.configuration import make_config
    from rankloop.methods.counting_config import CountingConfig
    from search_spaces import counting

    most = counting.CROPS_RANGE[1]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [counting.space(study.ask()) for _ in range(40)]
    for values in drawn:
        make_config(CountingConfig, {**values, "ranked_images": most})
    assert max(values["crops"] for values in drawn) == most


def test_a_fold_without_its_photographs_is_refused_before_any_is_trained(
    tmp_path, monkeypatch, capsys
):
    for number in range(1, 9):
        noise = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        (tmp_path / f"{number}.jpg").write_bytes(encode(noise))
        scipy.io.savemat(tmp_path / f"{number}_ann.mat", {"annPoints": np.ones((number, 2))})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    arguments = ["--smoke", "--data", f"ucf_cc_50:{tmp_path}", "--each-fold"]
    monkeypatch.setattr(sys, "argv", ["compare_counting.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "jobs" / "compare_counting.py"), run_name="__main__")
    assert stopped.value.code not in (0, None)
    assert "fold=2 tests on 11.jpg to 20.jpg, and none of these is there" in capsys.readouterr().err


def test_the_rows_of_the_ablation_differ_as_the_paper_says(jobs):
    found = jobs("compare_counting.py")["_rows"]("ablation", ("discs",), "w")
    assert not any(row.paper for row in found)
    rows = {row.name: row.values for row in found}
    assert rows["Basic CNN"]["weights"] == "none"
    assert all(rows[name]["weights"] == "w" for name in rows if name != "Basic CNN")
    assert [name for name, values in rows.items() if not values["multi_scale"]] == [
        "Basic CNN",
        "+ Pre-trained model",
    ]
    objectives = [values["objective"] for values in rows.values()]
    assert objectives == ["counting"] * 3 + ["ranking_then_counting"] + ["multi_task"] * 3
    assert [values["pairs"] for values in rows.values()][-3:] == ["random", "hard", "efficient"]


@pytest.mark.parametrize(
    ("data", "baseline", "ours"),
    [
        (("ucf_cc_50:/u",), {"MAE": 308.06}, {"MAE": 279.6, "RMSE": 408.1}),
        (
            ("shanghaitech:/s/part_B", "folder:/x"),
            {"MAE": 14.7, "RMSE": 24.7},
            {"MAE": 13.7, "RMSE": 21.4},
        ),
        (
            ("worldexpo10:/w", "folder:/x"),
            {
                "MAE": 12.5,
                "mae/104207": 5.0,
                "mae/200608": 22.0,
                "mae/200702": 14.3,
                "mae/202201": 15.7,
                "mae/500717": 5.3,
            },
            {
                "MAE": 10.5,
                "mae/104207": 3.8,
                "mae/200608": 17.5,
                "mae/200702": 13.8,
                "mae/202201": 12.7,
                "mae/500717": 5.2,
            },
        ),
        (("shanghaitech:/s/mine",), {}, {}),
        (("ucsd:/u", "ucf_cc_50:/u"), {}, {}),
    ],
)
def test_numbers_of_the_paper_are_of_the_data(jobs, data, baseline, ours):
    rows = {
        row.name: row.paper for row in jobs("compare_counting.py")["_rows"]("ablation", data, "w")
    }
    assert rows["+ multi-scale"] == baseline
    assert rows["Multi-task (Ours)"] == ours
    assert bool(rows["Basic CNN"]) == (data == ("ucf_cc_50:/u",))
