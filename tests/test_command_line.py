"""Options of jobs: defaults, --smoke, and how a job ends."""

import errno
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass

import pytest

from rankloop.command_line import (
    JobOptions,
    at_least,
    method_name,
    parse,
    refuse_swept,
    run_job,
)
from rankloop.errors import ConfigError, DataError
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig


@dataclass(frozen=True)
class Options(JobOptions):
    trials: int = 20
    """Number of trials."""


def read(*args):
    return parse(Options, "Does things.", smoke={"trials": 2}, args=args)


def test_defaults_are_the_methods_and_the_jobs():
    options = read()
    assert options.config == SSRankingConfig()
    assert (options.trials, options.storage, options.smoke) == (20, "results", False)


def test_storage_is_the_environments_unless_given(monkeypatch, tmp_path):
    monkeypatch.setenv("RANKLOOP_STORAGE", str(tmp_path / "shared"))
    assert read().storage == str(tmp_path / "shared")
    assert read("--storage", "elsewhere").storage == "elsewhere"


def test_help_shows_the_default_storage_without_its_password(monkeypatch, capsys):
    monkeypatch.setenv("RANKLOOP_STORAGE", "s3://me:secret@bucket/x")
    with pytest.raises(SystemExit):
        read("--help")
    shown = capsys.readouterr().out
    assert "s3://bucket/x" in shown
    assert "secret" not in shown


def test_every_field_of_the_configuration_is_an_option():
    options = read("--epsilon-qrc", "0.07", "--backbone", "shallow", "--steps", "12")
    assert options.config == SSRankingConfig(epsilon_qrc=0.07, backbone="shallow", steps=12)
    given = [f"--{name.replace('_', '-')}" for name in SSRankingConfig.model_fields]
    with pytest.raises(SystemExit):
        read("--help")
    assert len(given) > 10


def test_smoke_shrinks_and_options_beside_it_count():
    options = read("--smoke", "--steps", "7")
    assert options.trials == 2
    assert options.config == SSRankingConfig(**{**SSRANKING.smoke, "steps": 7})


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--trails", "3"], "--trials"),
        (["--trials", "many"], "many"),
        (["--learning-rate", "0"], "greater than 0"),
    ],
)
def test_bad_input_is_one_line(args, expected, capsys):
    with pytest.raises(SystemExit) as stopped:
        read(*args)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert expected in line


def test_files_of_weights_are_found_from_any_folder_and_missing_ones_refused_at_once(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    given = read("--weights", "weights.safetensors")
    assert given.config.weights == str(tmp_path / "weights.safetensors")
    assert read("--weights", "none").config.weights == "none"
    with pytest.raises(ConfigError, match=f"'other.safetensors' does not exist in {tmp_path}"):
        read("--weights", "other.safetensors")


def test_counts_below_their_limit_are_refused():
    at_least(1, workers=1)
    with pytest.raises(ConfigError, match="--data-workers -2 is below 0: give at least 0"):
        at_least(0, workers=3, data_workers=-2)


def test_options_that_a_job_varies_are_refused_unless_they_are_defaults():
    refuse_swept(SSRankingConfig(), {"epsilon_qrc": 0.1}, False)
    refuse_swept(SSRankingConfig(**SSRANKING.smoke), SSRANKING.smoke, True)
    with pytest.raises(ConfigError, match=r"--learning-rate 0\.05 would be ignored"):
        refuse_swept(SSRankingConfig(learning_rate=0.05), {"learning_rate": 0.1}, False)
    with pytest.raises(ConfigError, match=r"--epsilon-qrc 0\.3 would be ignored"):
        refuse_swept(SSRankingConfig(epsilon_qrc=0.3), {"epsilon_qrc": 0.1}, True)


def test_the_method_is_the_first_word(capsys):
    assert method_name(["ssranking", "--smoke"]) == "ssranking"
    assert method_name(["--smoke"]) == "ssranking"
    with pytest.raises(SystemExit):
        method_name(["ssrankin"])
    assert "ssranking" in capsys.readouterr().err


def raising(error, cause=None):
    def job():
        raise error from cause

    return job


def code_of(job):
    with pytest.raises(SystemExit) as stopped:
        run_job(job)
    return stopped.value.code


def test_a_job_prints_its_result_folder_last(capsys):
    run_job(lambda: "results/a")
    assert capsys.readouterr().out == "results/a\n"


def test_our_own_errors_are_one_line(capsys):
    assert code_of(raising(DataError("no images in x"))) == 1
    assert capsys.readouterr().err == "error: no images in x\n"


def test_ctrl_c_says_how_to_go_on(capsys):
    assert code_of(raising(KeyboardInterrupt())) == 130
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize(("reader", "code", "said"), [("head -1", 141, ""), ("cat", 1, "report")])
def test_a_reader_that_has_seen_enough_ends_the_job_quietly(reader, code, said):
    script = (
        "from rankloop.command_line import run_job\n"
        "def job():\n"
        "    for _ in range(100000):\n"
        "        print('line')\n"
        "    raise BrokenPipeError('of something else')\n"
        "run_job(job)"
    )
    found = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$0" | {reader}; exit ${{PIPESTATUS[0]}}', script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert found.returncode == code
    assert said in found.stderr
    assert found.stderr or not said
    assert not (code == 141 and found.stderr)


def run_script(script):
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def test_no_password_is_in_a_log_or_in_the_report_of_a_bug():
    script = (
        "import logging\n"
        "from rankloop.command_line import run_job\n"
        "def job():\n"
        "    logging.getLogger('any').warning('slow: %s', 's3://key:' + 'Canary@b/x')\n"
        "    raise RuntimeError('s3://key:' + 'Canary@b/y') from OSError('h://me:' + 'Canary@z')\n"
        "run_job(job)"
    )
    found = run_script(script)
    assert found.returncode == 1
    for text in ("slow: s3://b/x\n", "RuntimeError: s3://b/y\n", "OSError: h://z\n"):
        assert text in found.stderr
    assert "Canary@" not in found.stderr.replace("+ 'Canary@", "")


class UnshownError(Exception):
    def __str__(self):
        raise RecursionError("s3://key:Canary@b/x")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("s3://key:Canary@b/x x%" + "25" * 500 + "3A%2F%2Fa"), ": s3://b/x …\n"),
        (UnshownError("s3://key:Canary@b/x"), ", whose text cannot be shown: RecursionError\n"),
    ],
)
def test_no_password_is_in_what_is_said_of_errors_that_are_hard_to_show(error, said, capsys):
    assert code_of(raising(error)) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(f"error (please report it): {type(error).__name__}{said}")
    assert "Canary" not in errors


def test_no_password_is_in_what_is_said_of_a_log_line_that_cannot_be_shown():
    script = (
        "import logging\n"
        "from rankloop.command_line import run_job\n"
        "def job():\n"
        "    logging.getLogger('any').warning('slow: %d', 's3://key:' + 'Canary@b/x')\n"
        "    return 'results'\n"
        "run_job(job)"
    )
    found = run_script(script)
    assert (found.returncode, found.stdout) == (0, "results\n")
    assert found.stderr == "a message of any cannot be shown: TypeError\n"


def test_no_name_in_a_log_moves_the_cursor():
    script = (
        "import logging\n"
        "from rankloop.command_line import run_job\n"
        "def job():\n"
        "    logging.getLogger('any').warning('slow: %s', chr(27) + '[2J.png')\n"
        "    raise RuntimeError(chr(27) + '[2J')\n"
        "run_job(job)"
    )
    found = run_script(script)
    assert r"slow: \x1b[2J.png" in found.stderr
    assert r"RuntimeError: \x1b[2J" in found.stderr
    assert "\x1b" not in found.stderr


def test_no_password_is_in_a_warning_and_it_moves_no_cursor(capsys):
    before = warnings.showwarning
    text = "slow: s3://key:Canary@b/x\x1b[2J"
    try:
        run_job(lambda: warnings.warn(text, stacklevel=1) or "results")
    finally:
        warnings.showwarning = before
    said = capsys.readouterr().err
    assert "UserWarning: slow: s3://b/x\\x1b[2J\n" in said
    assert "Canary" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "args",
    [
        ("--dataa", "ADDRESS"),
        ("--dataa=ADDRESS",),
        ("--stor", "ADDRESS"),
        ("ADDRESS",),
        ("--trials", "ADDRESS"),
    ],
)
@pytest.mark.parametrize("columns", ["40", "80"])
def test_no_password_is_in_what_is_said_of_bad_input(args, columns, capsys, monkeypatch):
    # Long enough to be broken into lines anywhere.
    monkeypatch.setenv("COLUMNS", columns)
    password = "/".join(f"Canary{i}" for i in range(20))
    args = [word.replace("ADDRESS", f"s3://me:{password}@bucket/x") for word in args]
    with pytest.raises(SystemExit) as stopped:
        read(*args)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "s3://bucket/x" in said.replace(" ", "")
    assert "anary" not in said


def test_no_password_is_in_what_is_said_of_a_method(capsys):
    with pytest.raises(SystemExit):
        method_name(["s3://me:12/Canary@bucket"])
    assert "s3://bucket" in (said := capsys.readouterr().err)
    assert "Canary" not in said


def test_a_full_disk_is_named_wherever_it_struck(capsys):
    full = OSError(errno.ENOSPC, "No space left on device")
    assert code_of(raising(RuntimeError("journal\nmany lines"), full)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: journal: the disk is full: free some space")


def test_a_bug_keeps_its_traceback(capsys):
    assert code_of(raising(ZeroDivisionError("oops"))) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error (please report it): ZeroDivisionError: oops\n")
    assert "Traceback" in errors
