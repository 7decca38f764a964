import logging
import math
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pyarrow.fs as pafs
import pytest

from rankloop.errors import StorageError
from rankloop.storage import Folder, open_folder
from rankloop.tracking import Tracking, open_tracking, ui_command
from rankloop.tracking.location import locate, without_passwords
from rankloop.tracking.runs import KEY_TAG, LONGEST_PARAM, _flat, _valid


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def history(client, run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run_id, name))


# Where the runs are


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


def test_passwords_are_cut_out_of_any_text():
    text = "call to http://me:se@cret@host/x?mail=a@b failed, http://host/a@b too"
    assert without_passwords(text) == "call to http://host/x?mail=a@b failed, http://host/a@b too"


def test_params_become_flat_text():
    assert _flat({"a": 1e-4, "b": {"c": [1, 2], "d": {"e": None}}, "+f": True, "g": {}}) == {
        "a": "0.0001",
        "b.c": "[1, 2]",
        "b.d.e": "None",
        "f": "True",
        "g": "{}",
    }
    assert len(_flat({"long": "x" * 10_000})["long"]) == LONGEST_PARAM


@pytest.mark.parametrize("name", ["+QRC/test/srocc", "loss (a)", "a*b", "/x/", "x" * 400, "é"])
def test_names_become_valid_ones(name):
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(_valid(name))


# What happens when MLflow fails


class _Gone:
    """A client whose server is gone."""

    def __getattr__(self, name: str):
        def call(*args: object, **kwargs: object) -> None:
            raise ConnectionError("http://me:secret@host is gone")

        return call


def test_failures_after_opening_are_one_warning(tmp_path, caplog):
    tracking = Tracking(_Gone(), locate(open_folder(str(tmp_path))))
    with caplog.at_level(logging.WARNING):
        assert tracking.start_run("e", "n", key="k", params={"a": 1}, tags={"b": "c"}) == ""
        tracking.log_points("some-run", [("loss", 1.0, 1)])
        tracking.log_metrics("some-run", {"a": 1.0})
        tracking.log_files("some-run", open_folder(str(tmp_path)), ["x.json"])
        tracking.set_tags("some-run", {"a": "b"})
        tracking.finish("some-run", "FINISHED")
    (record,) = caplog.records
    assert "result folders hold everything" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_a_run_that_could_not_be_opened_is_left_alone(tmp_path, caplog):
    tracking = Tracking(_Gone(), locate(open_folder(str(tmp_path))))
    with caplog.at_level(logging.WARNING):
        tracking.log_points("", [("loss", 1.0, 1)])
        tracking.finish("", "FAILED")
    assert not caplog.records


def test_points_of_a_failed_batch_are_sent_again(tmp_path):
    sent: list[int] = []

    def log_batch(run_id: str, metrics: list) -> None:
        if not sent:
            sent.append(-1)
            raise ConnectionError
        sent.extend(metric.step for metric in metrics)

    client = SimpleNamespace(
        log_batch=log_batch,
        get_run=lambda run_id: SimpleNamespace(data=SimpleNamespace(metrics={})),
    )
    tracking = Tracking(client, locate(open_folder(str(tmp_path))))
    tracking.log_points("r", [("loss", 1.0, 1)])
    tracking.log_points("r", [("loss", 1.0, 1), ("loss", 1.0, 2)])
    assert sent == [-1, 1, 2]


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


# A real database


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """One database for the tests that use keys of their own: making it takes a second or two."""
    return open_folder(str(tmp_path_factory.mktemp("tracking")))


@pytest.fixture
def client(storage: Folder):
    return client_of(locate(storage).uri)


def reopened(storage: Folder) -> Tracking:
    """As a driver that starts again sees it."""
    return open_tracking(storage)


@pytest.mark.integration
def test_a_run_holds_what_was_logged(storage, client, tmp_path):
    tracking = open_tracking(storage)
    run_id = tracking.start_run(
        "ssranking",
        "holds",
        key='results/it\'s "mine"/ü',
        params={"lr": 0.1, "crop": {"size": 224}},
        tags={"annotator": "human"},
    )
    tracking.log_points(run_id, [("loss/ranking", 1.0 / (s + 1), s) for s in range(2300)])
    tracking.log_points(run_id, [("validation/srocc", float("nan"), 10)])
    tracking.log_metrics(run_id, {"+QRC/test": 0.5, "undefined": float("nan")})
    folder = open_folder(str(tmp_path / "result"))
    folder.write_json("result.json", {"a": None, "b": [1]})
    folder.write_json("left out", {})
    (folder / "plots").write_bytes("empty.png", b"png")
    tracking.log_files(run_id, folder, ["result.json", "plots/empty.png"])
    tracking.finish(run_id, "FINISHED")

    run = client.get_run(run_id)
    assert run.info.run_name == "holds"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1", "crop.size": "224"}
    assert run.data.tags["annotator"] == "human"
    losses = history(client, run_id, "loss/ranking")
    assert losses == [(s, pytest.approx(1.0 / (s + 1))) for s in range(2300)]
    ((step, value),) = history(client, run_id, "validation/srocc")
    assert step == 10
    assert math.isnan(value)
    assert run.data.metrics["QRC/test"] == 0.5
    assert math.isnan(run.data.metrics["undefined"])
    folder = Path(storage.path) / "mlartifacts" / run_id / "artifacts"
    assert (folder / "result.json").read_text() == '{\n  "a": null,\n  "b": [\n    1\n  ]\n}\n'
    assert (folder / "plots" / "empty.png").read_bytes() == b"png"
    assert not (folder / "left out").exists()


@pytest.mark.integration
def test_a_resumed_run_goes_on_without_duplicates(storage, client):
    def drive(upto: int) -> str:
        tracking = reopened(storage)
        run_id = tracking.start_run("resume", "r", key="resume", params={"lr": 0.1, "trials": upto})
        tracking.log_points(run_id, [("loss", float(s), s) for s in range(upto)])
        tracking.log_points(run_id, [("loss", 99.0, s) for s in range(upto)])
        tracking.log_metrics(run_id, {"final": 0.5, "undefined": float("nan")})
        return run_id

    first = drive(5)
    reopened(storage).finish(first, "FAILED")
    assert client.get_run(first).info.status == "FAILED"
    assert drive(8) == first
    run = client.get_run(first)
    assert run.info.status == "RUNNING"
    assert history(client, first, "loss") == [(s, float(s)) for s in range(8)]
    assert len(history(client, first, "final")) == 1
    assert len(history(client, first, "undefined")) == 1
    # MLflow never changes a parameter; the first value stays and nothing fails.
    assert run.data.params == {"lr": "0.1", "trials": "5"}
    experiment = client.get_experiment_by_name("resume").experiment_id
    assert len(client.search_runs([experiment])) == 1


@pytest.mark.integration
def test_a_resumed_run_fills_gaps(storage, client):
    run_id = reopened(storage).start_run("gaps", "g", key="gaps")
    reopened(storage).log_points(run_id, [("loss", 0.0, 0), ("loss", 2.0, 2)])
    reopened(storage).log_points(run_id, [("loss", float(s), s) for s in range(4)])
    assert history(client, run_id, "loss") == [(s, float(s)) for s in range(4)]


@pytest.mark.integration
def test_a_changed_final_value_replaces_the_old_one(storage, client):
    tracking = open_tracking(storage)
    run_id = tracking.start_run("final", "f", key="final")
    tracking.log_metrics(run_id, {"srocc": 0.5})
    time.sleep(0.002)
    tracking.log_metrics(run_id, {"srocc": 0.4})
    assert client.get_run(run_id).data.metrics["srocc"] == 0.4


@pytest.mark.integration
def test_trials_are_children_of_their_sweep(storage, client):
    tracking = open_tracking(storage)
    parent = tracking.start_run("nested", "sweep", key="sweep")
    children = [
        tracking.start_run("nested", f"trial-{i}", key=f"sweep/{i}", parent=parent)
        for i in range(3)
    ]
    assert len({parent, *children}) == 4
    experiment = client.get_experiment_by_name("nested").experiment_id
    found = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert {run.info.run_id for run in found} == set(children)

    url = urlsplit(tracking.comparison_url(parent, [*children, ""]))
    assert (url.netloc, url.fragment.partition("?")[0]) == ("127.0.0.1:5000", "/compare-runs")
    query = parse_qs(url.fragment.partition("?")[2])
    assert query["runs"] == ['["' + '","'.join(children) + '"]']
    assert query["experiments"] == [f'["{experiment}"]']


@pytest.mark.integration
def test_the_same_key_in_another_experiment_is_another_run(storage):
    tracking = open_tracking(storage)
    runs = {tracking.start_run(name, "r", key="same") for name in ("one", "other")}
    assert len(runs) == 2


@pytest.mark.integration
def test_a_deleted_run_is_begun_anew(storage, client):
    first = open_tracking(storage).start_run("deleted run", "r", key="deleted")
    client.delete_run(first)
    second = reopened(storage).start_run("deleted run", "r", key="deleted")
    assert second not in ("", first)


@pytest.mark.integration
def test_a_deleted_experiment_comes_back(storage, client):
    first = open_tracking(storage).start_run("deleted", "r", key="deleted")
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    assert reopened(storage).start_run("deleted", "r", key="deleted") == first
    assert client.get_run(first).info.lifecycle_stage == "active"


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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "served")]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/health", process)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("the server did not start within two minutes")


@pytest.mark.integration
def test_a_real_server_is_used_and_resumed(monkeypatch, tmp_path, server, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    storage = open_folder(str(tmp_path / "storage"))
    for upto in (1200, 1500):
        tracking = open_tracking(storage)
        parent = tracking.start_run("ssranking", "sweep", key="sweep")
        child = tracking.start_run(
            "ssranking", "trial", key="sweep/0", parent=parent, params={"lr": 0.1}
        )
        tracking.log_points(child, [("loss", float(s), s) for s in range(upto)])
        folder = open_folder(str(tmp_path / "result"))
        folder.write_json("result.json", {"a": 1})
        tracking.log_files(child, folder, ["result.json"])
        tracking.finish(child, "FINISHED")
    client = client_of(server)
    experiment = client.get_experiment_by_name("ssranking").experiment_id
    runs = {run.info.run_id: run for run in client.search_runs([experiment])}
    assert set(runs) == {parent, child}
    assert runs[child].data.tags["mlflow.parentRunId"] == parent
    assert runs[child].data.tags[KEY_TAG] == "sweep/0"
    assert history(client, child, "loss") == [(s, float(s)) for s in range(1500)]
    assert list((tmp_path / "served").rglob("result.json"))
    assert not (tmp_path / "storage").exists()
    assert ui_command(storage) == server
    assert tracking.comparison_url(parent, [child]).startswith(f"{server}/#/compare-runs?runs=")
    # The server's own lines about finished runs would come after a job's last line.
    assert capfd.readouterr().out == ""

    # An address that the server does not serve is refused, and the error says what to do.
    port = urlsplit(server).port
    monkeypatch.setattr(
        socket, "getaddrinfo", _resolving(socket.getaddrinfo, "rankloop.example", "127.0.0.1")
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://rankloop.example:{port}")
    with pytest.raises(StorageError, match=r"403.*--allowed-hosts"):
        open_tracking(storage)


def _resolving(original, name: str, address: str):
    return lambda host, *args, **kwargs: original(
        address if host == name else host, *args, **kwargs
    )
