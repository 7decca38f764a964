import logging
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from mlflow_proxy import SILENT, mlflow_proxy
from mlflow_server import free_port, mlflow_server
from rankloop.errors import StorageError
from rankloop.storage import open_folder
from rankloop.tracking import open_tracking, ui_command
from rankloop.tracking import server as servers
from rankloop.tracking.away import LOOK_TIMEOUT
from rankloop.tracking.location import locate
from rankloop.tracking.runs import KEY_TAG
from rankloop.tracking.server import Server


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def history(client, run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run_id, name))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server"), free_port()) as url:
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
    assert [file.path for file in client.list_artifacts(child)] == ["result.json"]
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
@pytest.mark.parametrize(
    ("status", "shown"), [(500, "500"), (504, "504"), (SILENT, "timed out")], ids=str
)
def test_one_kind_of_call_refused_leaves_all_others(
    monkeypatch, tmp_path, server, caplog, status, shown
):
    folder = open_folder(str(tmp_path / "result"))
    folder.write_json("result.json", {"a": 1})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")

    def no_files(path, body):
        return status if "/mlflow-artifacts/" in path else 0

    with (
        caplog.at_level(logging.WARNING),
        mlflow_proxy(server, no_files) as url,
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = open_tracking(open_folder(str(tmp_path / "storage")))
        run = tracking.start_run("no files", "train", key=f"train {status}")
        with tracking.ending(run):
            tracking.log_files(run, folder, ["result.json"])
            assert not tracking.is_away
            tracking.log_points(run, [("loss", 1.0, 1)])
            tracking.log_files(run, folder, ["result.json"])
            tracking.log_metrics(run, {"test/srocc": 0.5})
        assert tracking.lost(run) == {"log_files"}
    found = client_of(server).get_run(run)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"loss": 1.0, "test/srocc": 0.5}
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"MLflow at {url} fails (" in said
    assert shown in said


@pytest.mark.integration
@pytest.mark.parametrize("silent", ["", "/experiments/search"])
def test_a_look_at_a_server_that_hangs_is_short(monkeypatch, tmp_path, server, silent):
    monkeypatch.setattr(servers, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    with mlflow_proxy(server, lambda path, body: SILENT if silent in path else 0) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        watched = Server(client_of(url), locate(open_folder(str(tmp_path))))
        begun = time.monotonic()
        assert watched.failed(requests.Timeout("read timed out"))
        assert watched.is_away
        assert time.monotonic() - begun < 2 * LOOK_TIMEOUT + 2


@pytest.mark.integration
def test_how_long_a_proxy_asks_to_wait_is_not_heeded(monkeypatch, tmp_path, server):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    refused = []

    def once(path, body):
        if refused or not path.endswith("/runs/create"):
            return 0
        refused.append(path)
        return 503

    with mlflow_proxy(server, once) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = open_tracking(open_folder(str(tmp_path / "storage")))
        begun = time.monotonic()
        run = tracking.start_run("asked to wait", "train", key="asked to wait")
        # It asked for 30 s.
        assert time.monotonic() - begun < 20
    assert refused
    assert client_of(server).get_run(run).info.run_id == run


@pytest.mark.integration
def test_what_is_refused_is_known_at_once(monkeypatch, tmp_path, server):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    with mlflow_proxy(server, lambda path, body: 500 if b"metrics" in body else 0) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = open_tracking(open_folder(str(tmp_path / "storage")))
        run = tracking.start_run("at once", "train", key="at once")
        tracking.log_points(run, [("loss", 1.0, 1)])
        assert tracking.lost(run) == {"log_points"}


@pytest.mark.integration
def test_a_run_that_is_opened_again_in_vain_has_lost_that(monkeypatch, tmp_path, server):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    refusing = [b'"params"']
    with mlflow_proxy(
        server, lambda path, body: 500 if any(part in body for part in refusing) else 0
    ) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = open_tracking(open_folder(str(tmp_path / "storage")))

        def begin():
            return tracking.start_run("in vain", "train", key="in vain", params={"lr": 0.1})

        run = begin()
        assert tracking.lost(run) == {"start_run"}
        # As a job does before it sends again what was lost.
        tracking.forget_lost(run)
        refusing[:] = [b'"filter"']
        begin()
        assert tracking.lost(run) == {"start_run"}
        refusing.clear()
        assert begin() == run
        assert tracking.lost(run) == set()
    assert client_of(server).get_run(run).data.params == {"lr": "0.1"}


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
        run = tracking.start_run("without", "train", key="without")
        refused.append("from now on")
        for step in range(100):
            tracking.log_points(run, [("loss", 1.0, step)])
        assert tracking.is_away
        # One call, and a look at what else there is.
        assert len(refused) == 3
    assert ["is away" in record.getMessage() for record in caplog.records] == [True]
