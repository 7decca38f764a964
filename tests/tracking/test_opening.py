import logging
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from rankloop.errors import StorageError
from rankloop.storage import open_folder
from rankloop.tracking import open_tracking, opening
from rankloop.tracking.away import is_away


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(opening, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(opening, "_SECONDS_BETWEEN_TRIES", 0.1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.integration
def test_a_server_that_does_not_answer_is_waited_for_and_left_out(
    monkeypatch, tmp_path, impatient, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        tracking = open_tracking(open_folder(str(tmp_path)))
    assert tracking.is_away
    *tries, left_out = [record.getMessage() for record in caplog.records]
    assert len(tries) > 1
    assert all("http://127.0.0.1:9 does not answer, trying again for" in line for line in tries)
    assert ["refused" in line for line in tries] == [True] + [False] * (len(tries) - 1)
    assert "http://127.0.0.1:9 is away" in left_out
    assert "run again" in left_out
    assert "secret" not in caplog.text
    # Nothing waits for it then.
    begun = time.monotonic()
    for step in range(100):
        run = tracking.start_run("e", f"run {step}", key=f"{step}")
        tracking.log_points(run, [("loss", 1.0, step)])
        tracking.finish(run, "FINISHED")
    assert time.monotonic() - begun < 1
    assert tracking.run_id(run) == ""
    assert tracking.lost(run) == {"start_run", "log_points", "finish"}
    assert tracking.lost("another") == set()


class _Starting(BaseHTTPRequestHandler):
    """A proxy whose server is not there yet for two requests."""

    asked = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        ready = self.asked > 2
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(b'{"experiments": []}' if ready else b"")

    def log_message(self, *details):
        pass


@pytest.mark.integration
def test_a_server_that_is_starting_is_waited_for(monkeypatch, tmp_path, impatient):
    monkeypatch.setattr(opening, "PATIENCE_SECONDS", 30.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Starting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    tracking = open_tracking(open_folder(str(tmp_path)))
    server.shutdown()
    server.server_close()
    assert _Starting.asked == 3
    assert not tracking.is_away


@pytest.mark.integration
@pytest.mark.parametrize("uri", ["https://:0x/", "http://no host"])
def test_a_server_that_can_never_answer_is_refused_at_once(monkeypatch, tmp_path, uri, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StorageError, match=r"cannot open MLflow .*unset"):
        open_tracking(open_folder(str(tmp_path)))
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (requests.ConnectionError("refused"), True),
        (requests.Timeout("read timed out"), True),
        (requests.exceptions.RetryError("too many 503 error responses"), True),
        (requests.exceptions.RetryError("too many 500 error responses"), True),
        (requests.ConnectionError("Temporary failure in name resolution"), True),
        (requests.ConnectionError("[Errno -2] Name or service not known"), False),
        (requests.exceptions.SSLError("certificate verify failed"), False),
        (requests.exceptions.InvalidURL("no host"), False),
        (ValueError("403"), False),
    ],
)
def test_what_is_waited_for(error, away):
    raised = RuntimeError("API request failed")
    # As where MLflow catches one and raises another.
    raised.__context__ = error
    assert is_away(raised) == away


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
