import logging
import math
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from rankloop.storage import Folder, open_folder
from rankloop.tracking import Tracking, open_tracking
from rankloop.tracking.location import locate
from rankloop.tracking.names import LONGEST_PARAM, flat_params, valid_name


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def history(client, run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run_id, name))


def test_params_become_flat_text():
    assert flat_params({"a": 1e-4, "b": {"c": [1, 2], "d": {"e": None}}, "+f": True, "g": {}}) == {
        "a": "0.0001",
        "b.c": "[1, 2]",
        "b.d.e": "None",
        "f": "True",
        "g": "{}",
    }
    assert len(flat_params({"long": "x" * 10_000})["long"]) == LONGEST_PARAM


@pytest.mark.parametrize("name", ["+QRC/test/srocc", "loss (a)", "a*b", "/x/", "x" * 400, "é"])
def test_names_become_valid_ones(name):
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(valid_name(name))


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
        run = tracking.start_run("e", "n", key="k", params={"a": 1}, tags={"b": "c"})
        assert tracking.run_id(run) == ""
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
