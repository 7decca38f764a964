"""MLflow is a view: away for a while, it misses nothing in the end."""

import logging

import pytest

from mlflow_server import free_port, mlflow_server
from rankloop.active.campaign import DONE, TRAINED, Campaign
from rankloop.active.conductor import Orders, drive
from rankloop.active.cycle import Resources
from rankloop.active.view import curve, show
from rankloop.storage import Folder
from rankloop.tracking import Tracking

HERE = Resources(workers=0, scoring_workers=0)


def _drive(campaign: Campaign, cycles: int) -> None:
    drive(campaign.folder, campaign.folder / ".." / "..", Orders(cycles, HERE), lambda line: None)


def _runs(uri: str):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("rankiqa").experiment_id
    return client, {run.info.run_name: run for run in client.search_runs([experiment])}


@pytest.mark.integration
def test_cycles_that_mlflow_has_whole_are_not_sent_again(make_campaign, monkeypatch):
    campaign = make_campaign()
    storage = campaign.folder / ".." / ".."
    for number in (1, 2):
        cycle = campaign.cycle(number)
        metrics = {"test": {"srocc": 0.5 + number / 10, "plcc": None}}
        # Answers that were only corrected: as many labels as before.
        trained = {"metrics": metrics, "labels": 28, "share": 0.4, "labelled_items": 4}
        cycle.write_json(TRAINED, {**trained, "seconds": {"training": 1.0}})
    campaign.cycle(1).write_json(DONE, {"not_shown": []})
    sent: list[str] = []
    log_files = Tracking.log_files

    def counted(self: Tracking, run_id: str, folder: Folder, names: list[str]) -> None:
        sent.append(folder.name)
        log_files(self, run_id, folder, names)

    monkeypatch.setattr(Tracking, "log_files", counted)
    show(campaign, storage)
    assert sent == ["campaign", "cycle-001", "cycle-002"]
    show(campaign, storage)
    assert sent[3:] == ["campaign", "cycle-002"]
    show(campaign, storage, everything=True)
    assert sent[5:] == ["campaign", "cycle-001", "cycle-002"]
    client, runs = _runs(f"sqlite:///{storage.path}/mlflow.db")
    points = client.get_metric_history(runs["campaign campaign"].info.run_id, "test/srocc")
    assert sorted((point.step, point.value) for point in points) == [(1, 0.6), (2, 0.7)]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


@pytest.mark.integration
@pytest.mark.usefixtures("ray_session")
@pytest.mark.slow
def test_runs_are_complete_once_mlflow_is_back(make_campaign, tmp_path, monkeypatch, caplog):
    campaign, server, port = make_campaign(), tmp_path / "server", free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with mlflow_server(server, port) as url:
        _drive(campaign, 1)
        _, runs = _runs(url)
        assert set(runs) == {"campaign campaign", "campaign cycle 1", "campaign cycle 2"}
    with caplog.at_level(logging.WARNING):
        _drive(campaign, 3)
    assert f"MLflow at http://127.0.0.1:{port} is away" in caplog.text
    assert len(curve(campaign)) == 4
    with mlflow_server(server, port) as url:
        show(campaign, campaign.folder / ".." / "..")
        client, runs = _runs(url)
        names = {"campaign campaign", *(f"campaign cycle {number}" for number in (1, 2, 3, 4))}
        assert set(runs) == names
        assert {run.info.status for run in runs.values()} == {"FINISHED"}
        parent = runs["campaign campaign"].info.run_id
        for number in (1, 2, 3, 4):
            run = runs[f"campaign cycle {number}"]
            trained = campaign.cycle(number).read_json(TRAINED)
            assert run.data.tags["mlflow.parentRunId"] == parent
            assert run.data.metrics["test/srocc"] == trained["metrics"]["test"]["srocc"]
            assert run.data.metrics["labels"] == trained["labels"]
            assert ("seconds/scoring" in run.data.metrics) == (number < 4)
            pictures = {file.path for file in client.list_artifacts(run.info.run_id, "plots")}
            assert pictures == ({"plots/selected.png"} if number < 4 else set())
        for name in ("test/srocc", "labels", "share"):
            points = sorted(client.get_metric_history(parent, name), key=lambda p: p.step)
            assert [(point.step, point.value) for point in points] == [
                (entry["cycle"], {**entry, "test/srocc": entry["metrics"]["test"]["srocc"]}[name])
                for entry in curve(campaign)
            ]
