"""Every job refuses bad input with one readable line, a non-zero exit and nothing written."""

import runpy
import sys
from pathlib import Path

import pytest

JOBS = Path(__file__).resolve().parents[2] / "jobs"
TRAINING_JOBS = ["train.py", "tune_qrc.py", "compare_qrc.py"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a job in this process and returns its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(job, *arguments):
        monkeypatch.setattr(sys, "argv", [job, *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(JOBS / job), run_name="__main__")
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run


@pytest.mark.parametrize("job", TRAINING_JOBS)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--epsilon-qcr", "0.1"], "--epsilon-qrc"),
        (["--epsilon-qrc", "7"], "less than 1"),
        (["--steps", "none"], "--steps"),
        (["--data", "folder:missing"], "missing"),
        (["--data", "foldr:x"], "folder"),
        (["--data", "folder:empty"], "empty"),
        (["--backbone", "shallow", "--input-size", "20"], "input_size"),
        (["--blur-low", "5", "--blur-high", "1"], "blur_low"),
        (["--label-error-rate", "2"], "label_error_rate = 2.0 is outside"),
        (["--data-workers", "-1"], "--data-workers -1 is below 0"),
        (["--workers", "-1"], "--workers -1 is below"),
        (["--data", "empty"], "write folder:empty"),
        (["--storage", "file"], "a part of that path is a file"),
        (["--storage", "file/below"], "a part of that path is a file"),
        (["--storage", "s3://bucket/x?nonsense=1"], "Unexpected query parameter"),
    ],
)
def test_training_jobs_name_what_is_wrong(run, tmp_path, job, arguments, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    code, _, errors = run(job, *arguments)
    assert code not in (0, None)
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("job", "arguments", "expected"),
    [
        ("train.py", ["ssrankng"], "ssranking"),
        ("tune_qrc.py", ["--trials", "0"], "--trials 0 is below 1"),
        ("tune_qrc.py", ["--evaluations", "0"], "--evaluations 0 is below 1"),
        ("tune_qrc.py", ["--learning-rate", "0.5"], "--learning-rate 0.5 would be ignored"),
        ("compare_qrc.py", ["--self-supervision", "lsep"], "would be ignored"),
        ("compare_qrc.py", ["--self-supervised-weight", "0"], "makes all rows the baseline"),
        ("compare_qrc.py", ["--seeds"], "--seeds without a value: give at least one"),
        ("compare_qrc.py", ["--seeds", "1", "1"], "--seeds 1 1: give at least one seed, and each"),
        ("tune_rankiqa.py", ["--margin", "2"], "--margin 2.0 would be ignored"),
        ("tune_rankiqa.py", ["--backbones"], "--backbones without a value: name at least one"),
        ("tune_rankiqa.py", ["--objective", "ranking"], "has no weight to sweep"),
        ("tune_rankiqa.py", ["--distortions", "jpeg"], "would be ignored"),
        ("compare_rankiqa.py", ["--objective", "ranking"], "would be ignored"),
        ("compare_rankiqa.py", ["--splits", "0"], "--splits 0 is below 1"),
        ("compare_rankiqa.py", ["--only", "baseline"], "is no row: the nearest is 'Baseline'"),
        ("train.py", ["rankiqa", "--distortions", "jpg"], "the nearest is 'jpeg'"),
        ("active_learning.py", ["rankiqa"], "give one of --cycles T, --round, --status, --resync"),
        ("active_learning.py", ["rankiqa", "--cycles", "2", "--round"], "give one of --cycles T"),
        ("active_learning.py", ["--cycles", "2", "--start-share", "0"], "--start-share 0.0 is"),
        ("active_learning.py", ["rankiqa", "--status"], "there is no campaign in"),
        ("active_learning.py", ["--cycles", "0"], "--cycles 0 is below 1"),
        ("score.py", ["nowhere", "photos"], "photos"),
        ("score.py", ["results"], "PATH"),
    ],
)
def test_each_job_names_what_is_wrong(run, tmp_path, job, arguments, expected):
    code, _, errors = run(job, *arguments)
    assert code not in (0, None)
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("job", [*TRAINING_JOBS, "score.py"])
def test_results_of_a_submitted_job_must_not_go_where_they_vanish(run, monkeypatch, job):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    positional = ["nowhere", "photos", "--output", "/tmp/a.csv"] if job == "score.py" else []
    code, _, errors = run(job, *positional, "--storage", "results")
    assert code == 1
    assert errors.startswith("error: --storage results is relative")


@pytest.mark.parametrize("job", [*TRAINING_JOBS, "score.py", "preview.py", "ingest.py"])
def test_a_shell_set_up_for_submitting_is_named_in_one_line(run, monkeypatch, job):
    """README has people export it; a job run here is not submitted for that."""
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    code, _, errors = run(job, *(["nowhere", "photos"] if job == "score.py" else []))
    assert code == 1
    (line,) = errors.splitlines()
    assert line.startswith("error: RAY_ADDRESS is http://127.0.0.1:8265")
    assert "unset RAY_ADDRESS" in line


@pytest.mark.parametrize("job", ["tune_rankiqa.py", "compare_rankiqa.py", "active_learning.py"])
def test_help_of_quality_jobs_teaches(run, job):
    code, output, errors = run(job, "--help")
    assert code in (0, None)
    assert not errors
    assert f"python jobs/{job}" in output
    for option in ("--data", "--seed", "--steps", "--test-sub-images", "--smoke"):
        assert option in output


@pytest.mark.parametrize("job", [*TRAINING_JOBS, "score.py"])
def test_help_teaches(run, job):
    code, output, errors = run(job, "--help")
    assert code in (0, None)
    assert not errors
    assert f"python jobs/{job}" in output
    assert "--storage FOLDER-OR-URI" in output
    for option in ("--smoke", "--workers"):
        assert option in output
    if job != "score.py":
        for option in ("--data", "--seed", "--steps", "--backbone", "--epsilon-qrc"):
            assert option in output
