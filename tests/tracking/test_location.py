import shlex
from pathlib import Path

import pyarrow.fs as pafs

from rankloop.storage import Folder, open_folder
from rankloop.tracking import ui_command
from rankloop.tracking.location import locate


def test_local_storage_holds_its_own_database(tmp_path):
    location = locate(open_folder(str(tmp_path)))
    assert location.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert location.artifacts == (tmp_path / "mlartifacts").as_uri()
    assert location.notes == ""


def test_a_bucket_uses_the_home_folder_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    bucket = Folder(pafs.LocalFileSystem(), "bucket/results", "s3://bucket/results")
    location = locate(bucket)
    assert location.uri == f"sqlite:///{tmp_path}/rankloop/mlflow.db"
    assert "s3://bucket/results" in location.notes
    assert "MLFLOW_TRACKING_URI" in location.notes


def test_the_variable_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@tracking:5000/")
    location = locate(open_folder(str(tmp_path)))
    assert location.uri == "http://me:secret@tracking:5000/"
    assert location.artifacts is None
    assert ui_command(open_folder(str(tmp_path))) == "http://tracking:5000"


def test_ui_command_is_a_shell_command_that_exists(tmp_path):
    words = shlex.split(ui_command(open_folder(str(tmp_path / "my results"))))
    assert Path(words[0]).exists()
    assert words[1:3] == ["ui", "--backend-store-uri"]
    assert words[3] == f"sqlite:///{tmp_path}/my results/mlflow.db"
    assert words[4:] == ["--host", "127.0.0.1", "--port", "5000"]


def test_a_database_password_is_not_in_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/runs")
    command = ui_command(open_folder(str(tmp_path)))
    assert "secret" not in command
    assert "$MLFLOW_TRACKING_URI" in command
