"""Jobs of QCN refuse what cannot be trained, before they start anything; budgets are kept."""

import runpy
import sys
from pathlib import Path

import optuna
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("job", "arguments", "expected"),
    [
        ("tune_qcn.py", ["--pivot-counts", "2", "5"], "pivots = 2: Input should be greater"),
        ("tune_qcn.py", ["--pivot-counts"], "--pivot-counts"),
        ("tune_qcn.py", ["--lists", "7"], "--lists 7 would be ignored"),
        ("tune_qcn.py", ["--objective", "regression"], "has no pivots to sweep"),
        (
            "tune_qcn.py",
            ["--channels", "24"],
            "--channels 24 cannot be divided among 8 heads, the most of the sweep: give a multiple "
            "of 16",
        ),
        ("tune_qcn.py", ["--mae-weight", "0"], "--mae-weight 0 leaves nothing to learn for plain"),
        ("compare_qcn.py", ["--study", "losses", "--mae-start", "0.1"], "row 'I: MAE': "),
        ("compare_qcn.py", ["--study", "depth", "--transformers", "2"], "--transformers 2 would"),
        ("compare_qcn.py", ["--study", "gol", "--images", "1", "--lists", "1"], "images = 1"),
        ("compare_qcn.py", ["--study", "gol", "--only", "GLO"], "the nearest is 'GOL'"),
        ("compare_qcn.py", ["--study", "cross"], "give at least two data sources"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(
    job, arguments, expected, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", [job, "--data", "folder:nowhere", *arguments])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "jobs" / job), run_name="__main__")
    assert stopped.value.code not in (0, None)
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.fixture
def jobs(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    return lambda name: runpy.run_path(str(ROOT / "jobs" / name), run_name="imported")


def test_trials_have_as_many_images_per_step_as_whole_lists_hold(jobs):
    jobs("tune_qcn.py")
    from search_spaces import qcn

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = {}
    for _ in range(40):
        trial = study.ask()
        values = qcn.space(trial)
        seen[values["images"]] = values["lists"]
        assert trial.params == values
        assert ("heads" in values) == (values["layout"] == "code")
    assert seen == {6: 9, 12: 4, 18: 3, 24: 2}
    study.enqueue_trial(qcn.PAPER)
    assert qcn.space(study.ask()) == qcn.PAPER


def test_rows_of_the_auxiliary_study_have_the_budget_of_the_configuration(jobs):
    rows = jobs("compare_qcn.py")["_rows"]("aux", 54)
    budgets = [row.values["images"] * row.values["lists"] for row in rows]
    assert budgets == [54, 54, 48, 54, 48]
