import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mlflow_server import free_port, mlflow_server
from rankloop.errors import StorageError
from rankloop.storage import open_folder
from rankloop.tracking import open_tracking, ui_command
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
