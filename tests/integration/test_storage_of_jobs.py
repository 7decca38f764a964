"""Jobs whose results lie in a bucket, and jobs whose disk is full."""

import json
import os
import subprocess

import pytest
from job_processes import start

from rankloop.storage import open_folder

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_sweep_keeps_everything_in_a_bucket_and_its_winner_scores(
    s3_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    process = start("tune_qrc.py", s3_folder, "--smoke", "--workers", "2")
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    assert "secret" not in output
    storage = open_folder(s3_folder)
    (name,) = (storage / "tune_qrc").names()
    folder = storage / "tune_qrc" / name
    assert output.strip().splitlines()[-1] == str(folder)
    result = json.loads(folder.read_bytes("result.json"))
    assert result["trials"]["finished"] == 2
    assert {"checkpoint", "plots", "result.json", "runs", "study"} <= set(folder.names())
    assert (folder / "checkpoint").has("model.safetensors")
    again = start("tune_qrc.py", s3_folder, "--smoke", "--workers", "2")
    output, _ = again.communicate(timeout=250)
    assert again.returncode == 0, output
    assert json.loads(folder.read_bytes("result.json"))["metrics"] == result["metrics"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A folder on a disk of its own with room for 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("job", ["train.py", "tune_qrc.py"])
def test_a_full_disk_is_named_and_the_job_goes_on_once_there_is_room(
    tiny_disk, tmp_path, monkeypatch, job
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"0" * (950 * 1024))
    process = start(job, tiny_disk / "results", "--smoke", "--workers", "1")
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 1, output
    assert "the disk is full: free some space, then run the same command again" in output
    assert "please report" not in output
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=200m", str(tiny_disk)], check=True)
    again = start(job, tiny_disk / "results", "--smoke", "--workers", "1")
    output, _ = again.communicate(timeout=250)
    assert again.returncode == 0, output
    assert os.path.exists(output.strip().splitlines()[-1] + "/result.json")
