import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mlflow_proxy import mlflow_proxy
from mlflow_server import free_port, mlflow_server
from rankloop.errors import StorageError
from rankloop.storage import open_folder
from rankloop.tracking import open_tracking, ui_command
from rankloop.tracking import server as servers
from rankloop.tracking.runs import KEY_TAG


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def history(client, run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run_id, name))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with mlflow_server(tmp_path, free_port()) as url:
        yield url


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


@pytest.mark.integration
def test_what_was_begun_while_it_was_away_is_there_when_it_is_back(monkeypatch, tmp_path, caplog):
    port = free_port()
    monkeypatch.setattr(servers, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    tracking = open_tracking(open_folder(str(tmp_path / "storage")), patience=0.0)
    parent = tracking.start_run("ssranking", "sweep", key="sweep", params={"trials": 2})
    child = tracking.start_run("ssranking", "trial", key="sweep/0", parent=parent, tags={"a": "b"})
    tracking.log_points(child, [("loss", 1.0, 1)])
    with mlflow_server(tmp_path / "server", port) as url:
        tracking.log_points(child, [("loss", 1.0, 1), ("loss", 2.0, 2)])
    # It is killed once more.
    tracking.log_points(child, [("loss", 3.0, 3)])
    tracking.finish(child, "FINISHED")
    with mlflow_server(tmp_path / "server", port) as url:
        tracking.log_points(child, [("loss", float(step), step) for step in (1, 2, 3)])
        tracking.finish(child, "FINISHED")
        client = client_of(url)
        found = client.get_run(tracking.run_id(child))
        assert history(client, found.info.run_id, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
        assert found.info.status == "FINISHED"
        assert found.data.tags["a"] == "b"
        assert found.data.tags["mlflow.parentRunId"] == tracking.run_id(parent)
        assert client.get_run(tracking.run_id(parent)).data.params == {"trials": "2"}
        page = tracking.comparison_url(parent, [child])
        assert found.info.run_id in page
        assert "unopened" not in page
    said = [record.getMessage() for record in caplog.records]
    assert ["is away" in line for line in said] == [True, False, True, False]
    assert sum("is back" in line for line in said) == 2


@pytest.mark.integration
def test_one_kind_of_call_refused_leaves_all_others(monkeypatch, tmp_path, server, caplog):
    folder = open_folder(str(tmp_path / "result"))
    folder.write_json("result.json", {"a": 1})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

    def no_files(path, body):
        return 500 if "/mlflow-artifacts/" in path else 0

    with (
        caplog.at_level(logging.WARNING),
        mlflow_proxy(server, no_files) as url,
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = open_tracking(open_folder(str(tmp_path / "storage")))
        run = tracking.start_run("ssranking", "train", key="train")
        with tracking.ending(run):
            tracking.log_files(run, folder, ["result.json"])
            assert not tracking.is_away
            tracking.log_points(run, [("loss", 1.0, 1)])
            tracking.log_files(run, folder, ["result.json"])
            tracking.log_metrics(run, {"test/srocc": 0.5})
    found = client_of(server).get_run(run)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"loss": 1.0, "test/srocc": 0.5}
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"MLflow at {url} fails (" in said
    assert "500" in said


@pytest.mark.integration
def test_a_server_without_its_database_is_away(monkeypatch, tmp_path, server, caplog):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    refused = []

    def without_database(path, body):
        if not refused or path == "/health":
            return 0
        refused.append(path)
        return 500

    with mlflow_proxy(server, without_database) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = open_tracking(open_folder(str(tmp_path / "storage")))
        run = tracking.start_run("ssranking", "train", key="train")
        refused.append("from now on")
        for step in range(100):
            tracking.log_points(run, [("loss", 1.0, step)])
        assert tracking.is_away
        # One call, and a look at what else there is.
        assert len(refused) == 3
    assert ["is away" in record.getMessage() for record in caplog.records] == [True]
