"""Passwords that a job is given reach nothing that it writes: searched for in all of it."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pytest

from mlflow_server import free_port, mlflow_server
from rankloop.images import encode
from rankloop.storage import open_folder

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
# Of the bucket and of MLflow.
KEY, SECRET, MLFLOW = "KeyCanary", "SecretCanary", "MlflowCanary"
# Of the environment that jobs inherit.
INHERITED = {
    "AWS_SECRET_ACCESS_KEY": "InheritedSecretCanary",
    "AWS_SESSION_TOKEN": "InheritedTokenCanary",
    "RAY_AUTH_TOKEN": "ca7a27" * 10 + "ca7a",
}
CANARIES = (KEY, SECRET, MLFLOW, *INHERITED.values())
# A loss that is no number soon.
DIVERGES = ("--learning-rate", "10", "--weight-decay", "1", "--steps", "60")


@pytest.fixture
def ray_folder():
    # Ray's sockets lie below it, and their paths must be short.
    folder = tempfile.mkdtemp(prefix="rankloop-")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def bucket(s3_folder):
    """A bucket's address with a password, and photographs in it of which two cannot be used."""
    address = s3_folder.replace("key:secret@", f"{KEY}:{SECRET}@")
    data = open_folder(address) / "data"
    lines = ["image,score"]
    for i in range(24):
        pixels = np.random.default_rng(i).integers(0, 256, (80, 80, 3), np.uint8)
        data.write_bytes(f"{i}.png", encode(pixels))
        lines.append(f"{i}.png,{i}")
    data.write_bytes("broken.png", b"not an image")
    lines += ["broken.png,3", "missing.png,4", f"s3://{KEY}:{SECRET}@elsewhere/x.png,5"]
    data.write_bytes("labels.csv", "\n".join(lines).encode())
    data.write_bytes("none.csv", "\n".join(["image,score", *lines[-3:]]).encode())
    return address


def _run(job, *arguments, ray_folder, tracking):
    return subprocess.run(
        [sys.executable, str(ROOT / "jobs" / job), *arguments],
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": tracking,
            "RAY_TMPDIR": str(ray_folder),
            **INHERITED,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": "",
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def _download(folder, destination):
    selector = pafs.FileSelector(folder.path, recursive=True)
    for info in folder.filesystem.get_file_info(selector):
        if info.type == pafs.FileType.File:
            file = destination / info.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(folder.filesystem.open_input_stream(info.path).read())


def _holding_canaries(folder):
    # Sockets and pipes are no files.
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [
        path
        for path in files
        if any(word in str(path) or word.encode() in path.read_bytes() for word in CANARIES)
    ]


def _located(address, folder, more=""):
    place, _, options = address.partition("?")
    return f"{place}/{folder}?{options}{more}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "more"), [("train.py", ()), ("train.py", DIVERGES), ("tune_qrc.py", ())]
)
def test_no_password_is_written_anywhere(bucket, ray_folder, tmp_path, job, more):
    labels = f"csv:{_located(bucket, 'data/labels.csv', '&higher_is_better=true')}"
    storage = _located(bucket, "out")
    with mlflow_server(tmp_path / "mlflow", free_port()) as server:
        tracking = server.replace("://", f"://me:{MLFLOW}@")
        done = _run(
            *(job, "--smoke", "--workers", "1", "--data", labels, "--storage", storage, *more),
            ray_folder=ray_folder,
            tracking=tracking,
        )
        assert done.returncode == (1 if more else 0), done.stderr
    written = _checked(done, storage, tmp_path)
    assert bool(more) != bool(list(written.rglob("result.json")))
    for folder in (tmp_path / "mlflow", ray_folder):
        assert not _holding_canaries(folder)


def _checked(done, storage, tmp_path):
    printed = done.stdout + done.stderr
    assert "skipped 3 images" in printed
    assert not [word for word in CANARIES if word in printed]
    written = tmp_path / "written"
    _download(open_folder(storage), written)
    assert not _holding_canaries(written)
    return written


@pytest.mark.slow
def test_no_password_is_written_by_a_training_that_fails(bucket, ray_folder, tmp_path):
    labels = f"csv:{_located(bucket, 'data/labels.csv', '&higher_is_better=true')}"
    storage = _located(bucket, "out")
    done = _run(
        *("train.py", "--smoke", "--workers", "0", "--data", labels, "--storage", storage),
        *DIVERGES,
        ray_folder=ray_folder,
        tracking=f"sqlite:///{tmp_path}/mlflow.db",
    )
    assert done.returncode == 1
    assert "error: the loss is not finite" in done.stderr
    _checked(done, storage, tmp_path)
    assert not _holding_canaries(tmp_path)


def test_no_password_is_said_of_data_that_cannot_be_used(bucket, ray_folder, tmp_path):
    labels = f"csv:{_located(bucket, 'data/none.csv', '&higher_is_better=true')}"
    storage = _located(bucket, "out")
    done = _run(
        *("train.py", "--smoke", "--workers", "0", "--data", labels, "--storage", storage),
        ray_folder=ray_folder,
        tracking=f"sqlite:///{tmp_path}/mlflow.db",
    )
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert not [word for word in CANARIES if word in done.stdout + done.stderr]
