import subprocess
import sys

import pytest

from rankloop.errors import StorageError
from rankloop.storage import open_folder
from rankloop.tracking import open_tracking


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.mark.integration
def test_a_server_that_does_not_answer_is_a_storage_error(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StorageError, match=r"http://127\.0\.0\.1:9.*unset") as caught:
        open_tracking(open_folder(str(tmp_path)))
    assert "secret" not in str(caught.value)


@pytest.mark.integration
@pytest.mark.parametrize("uri", ["mlruns", "nonsense://x"])
def test_an_unusable_uri_is_a_storage_error(monkeypatch, tmp_path, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StorageError, match="set MLFLOW_TRACKING_URI to"):
        open_tracking(open_folder(str(tmp_path)))


@pytest.mark.integration
def test_a_broken_database_is_a_storage_error(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match=r"mlflow\.db.*not a database"):
        open_tracking(open_folder(str(tmp_path)))


@pytest.mark.integration
def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--storage"):
        open_tracking(open_folder(str(tmp_path / "file" / "x")))


_OPENER = """
import sys
from rankloop.storage import open_folder
from rankloop.tracking import open_tracking
import mlflow, sqlalchemy
print("ready", flush=True)
sys.stdin.readline()
tracking = open_tracking(open_folder(sys.argv[1]))
print(tracking.start_run("ssranking", "r", key=sys.argv[2]))
"""


@pytest.mark.integration
def test_drivers_may_open_a_new_storage_at_the_same_time(tmp_path):
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", _OPENER, str(tmp_path), key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for key in ("one", "two")
    ]
    for driver in drivers:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
    for driver in drivers:
        assert driver.stdin is not None
        driver.stdin.write("go\n")
        driver.stdin.flush()
    outputs = [driver.communicate(timeout=60) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], outputs
    # Nothing but what we print: MLflow and Alembic are quiet.
    assert [errors for _, errors in outputs] == ["", ""]
    runs = {output.strip() for output, _ in outputs}
    client = client_of(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("ssranking").experiment_id
    assert {run.info.run_id for run in client.search_runs([experiment])} == runs
    assert len(runs) == 2


# A real server
