"""What is shown and kept of runs; what MLflow lost of them is sent again, and of those alone."""

import json
import threading
import time
from functools import partial

import pytest
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial

from mlflow_proxy import mlflow_proxy
from mlflow_server import free_port, mlflow_server
from rankloop.errors import StorageError
from rankloop.methods import find_method
from rankloop.metrics import compared_value
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.tracking import open_tracking
from rankloop.tracking import server as servers
from rankloop.tracking.runs import COMPLETE
from rankloop.training.loop import Schedule, train
from rankloop.tuning import watcher as watching
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import _Tally
from rankloop.tuning.successive_halving import STEP, VALUE
from rankloop.tuning.suggestions import Run
from rankloop.tuning.watcher import FAILURE, TrackingWatcher
from rankloop.waiting import Waiting

pytestmark = pytest.mark.integration

RUNS = [Run("a", {"epsilon_qrc": 0.01}, 1), Run("b", {"epsilon_qrc": 0.2}, 2)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("server"), free_port()) as url:
        yield url


@pytest.fixture
def context(data, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(servers, "LOOK_SECONDS", 0.0)
    return RunContext(
        method="ssranking",
        base=tiny_config(steps=4),
        data=data,
        folder=open_folder(str(tmp_path / "here")),
        schedule=Schedule(evaluate_every=2, checkpoint_every=2),
        metric="srocc",
    )


@pytest.fixture
def watch(context, monkeypatch, tmp_path):
    """Opens MLflow at a URL, and a watcher of the runs in it."""

    def begin(url):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = open_tracking(open_folder(str(tmp_path)), patience=0.0)
        parent = tracking.start_run("ssranking", "sweep", key=str(context.folder))
        return TrackingWatcher(tracking, context, parent, len(RUNS))

    return begin


def train_watched(context, watcher, run, fails=False):
    """Train a run as `train_runs` does, in this process; it may fail after an evaluation."""
    config = run.as_config()
    result = {}

    def report(found):
        result.update({STEP: found.step, VALUE: compared_value("srocc", found.metrics)})
        result.update({"metrics": found.metrics, "losses": list(found.losses.items())})
        watcher.reported(config, result)
        return not fails

    watcher.started(config)
    train(
        find_method(context.method),
        context.run_config(config["values"]),
        context.data,
        context.run_folder(run.name),
        seed=run.seed,
        schedule=context.schedule,
        open_streams=partial(plain_batches, reads_at_once=1),
        on_report=report,
    )
    watcher.ended(config, {**result, "error": "out of memory"} if fails else result)


def pages(server, watcher):
    """Of every run: status, whether MLflow has it whole, steps of its curves, files."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    found = {}
    for name, handle in watcher.run_ids.items():
        run = client.get_run(watcher._tracking.run_id(handle))
        curves = [
            sorted(point.step for point in client.get_metric_history(run.info.run_id, metric))
            for metric in ("validation/srocc", "loss/ranking")
        ]
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        found[name] = run.info.status, COMPLETE in run.data.tags, curves, files
    return found


def tags(server, watcher, name):
    from mlflow import MlflowClient

    run_id = watcher._tracking.run_id(watcher.run_ids[name])
    return MlflowClient(tracking_uri=server).get_run(run_id).data.tags


CURVES = [[2, 4], [1, 2, 3, 4]]
WHOLE = ("FINISHED", True, CURVES, {"result.json", "plots"})


def test_only_a_run_that_lost_something_is_sent_again(server, context, watch, monkeypatch):
    refused, loaded = [], []
    load_latest = watching.load_latest

    def once(path, body):
        # The first evaluation.
        if not refused and path.endswith("/log-batch") and json.loads(body).get("metrics"):
            refused.append(path)
            return 500
        return 0

    def load(folder):
        loaded.append(str(folder))
        return load_latest(folder)

    with mlflow_proxy(server, once) as url:
        watcher = watch(url)
        for run in RUNS:
            train_watched(context, watcher, run)
        assert refused
        monkeypatch.setattr(watching, "load_latest", load)
        watcher.add_results()
        assert pages(server, watcher) == {"a": WHOLE, "b": WHOLE}
        assert watcher.lacking == []
        assert loaded == [str(context.run_folder("a") / "checkpoints")]
        # Run again, neither is.
        loaded.clear()
        again = watch(url)
        assert again.unfinished(RUNS) == []
        again.add_results()
        assert not loaded
        assert again.lacking == []


def test_back_while_results_are_waited_for(server, context, watch, monkeypatch):
    away = threading.Event()
    make_run_result = watching.make_run_result

    def slow(*args):
        time.sleep(1.0)
        away.clear()
        return make_run_result(*args)

    monkeypatch.setattr(watching, "make_run_result", slow)
    with mlflow_proxy(server, lambda path, body: 503 if away.is_set() else 0) as url:
        away.set()
        watcher = watch(url)
        train_watched(context, watcher, RUNS[0])
        assert watcher._tracking.is_away
        watcher.add_results()
        assert pages(server, watcher) == {"a": WHOLE}
        assert watcher.lacking == []


def test_what_stays_refused_is_named_and_sent_when_run_again(server, context, watch):
    refusing = ["/mlflow-artifacts/"]
    with mlflow_proxy(
        server, lambda path, body: 500 if any(part in path for part in refusing) else 0
    ) as url:
        watcher = watch(url)
        for run in RUNS:
            train_watched(context, watcher, run)
        watcher.add_results()
        assert watcher.lacking == ["a", "b"]
        without = ("FINISHED", False, CURVES, set())
        assert pages(server, watcher) == {"a": without, "b": without}
        refusing.clear()
        again = watch(url)
        assert again.unfinished(RUNS) == []
        again.add_results()
        assert again.lacking == []
        assert pages(server, again) == {"a": WHOLE, "b": WHOLE}


def _away(folder):
    raise StorageError(f"cannot read {folder}")


def test_curves_that_cannot_be_read_are_lacking(server, context, watch, monkeypatch, capsys):
    refused = []

    def once(path, body):
        if not refused and path.endswith("/log-batch") and json.loads(body).get("metrics"):
            refused.append(path)
            return 500
        return 0

    with mlflow_proxy(server, once) as url:
        watcher = watch(url)
        train_watched(context, watcher, RUNS[0])
        assert refused
        with monkeypatch.context() as storage:
            storage.setattr(watching, "load_latest", _away)
            watcher.add_results()
        assert watcher.lacking == ["a"]
        _, complete, curves, _ = pages(server, watcher)["a"]
        assert not complete
        assert curves != CURVES
        again = watch(url)
        assert again.unfinished(RUNS[:1]) == []
        assert "a  was done before (1 of at most 2 done)" in capsys.readouterr().out
        again.add_results()
        assert again.lacking == []
        assert pages(server, again) == {"a": WHOLE}


def test_how_a_run_ended_is_sent_once_its_checkpoint_is_read(server, context, watch, monkeypatch):
    train_watched(context, watch("http://127.0.0.1:9"), RUNS[0])
    watcher = watch(server)
    with monkeypatch.context() as storage:
        storage.setattr(watching, "load_latest", _away)
        watcher.ended_before(RUNS[0].as_config(), failed=False)
    watcher.add_results()
    assert pages(server, watcher) == {"a": WHOLE}
    assert tags(server, watcher, "a")["stopped_early"] == "false"


def test_what_a_failed_run_loses_when_it_goes_on_is_sent(server, context, watch):
    watcher = watch(server)
    train_watched(context, watcher, RUNS[0], fails=True)
    watcher.add_results()
    assert pages(server, watcher)["a"][:3] == ("FAILED", False, [[2], [1, 2]])

    def late(path, body):
        metrics = json.loads(body).get("metrics", ()) if path.endswith("/log-batch") else ()
        return 500 if any(int(metric["step"]) > 2 for metric in metrics) else 0

    with mlflow_proxy(server, late) as url:
        cut_off = watch(url)
        train_watched(context, cut_off, RUNS[0])
        # It is killed before it sends again what MLflow lacks.
        cut_off._made["a"].result()
    again = watch(server)
    assert again.unfinished(RUNS[:1]) == []
    again.add_results()
    assert pages(server, again) == {"a": WHOLE}


@pytest.mark.usefixtures("ray_session")
def test_how_a_worker_failed_is_shown_without_passwords(context, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking = open_tracking(open_folder(str(tmp_path)))
    watcher = TrackingWatcher(tracking, context, "", 1)
    tally = _Tally(watcher, Waiting("1 CPU per trial"))
    trial = Trial(
        "worker",
        stub=True,
        config=Run("a", {"backbone": "shallow\x1b[2J"}, 1).as_config(),
        storage=StorageContext(str(tmp_path / "tune"), "here", trial_dir_name="a"),
    )
    trial.init_local_path()
    trial.handle_error(OSError("cannot read http://me:secret@host/a.png \x1b[2J"))
    tally.on_trial_start(0, [trial], trial)
    tally.on_trial_error(0, [trial], trial)
    (failure,) = watcher.failures
    assert failure["error"] == r"cannot read http://host/a.png \x1b[2J"
    ((_, text),) = tally.failures
    kept = context.run_folder("a").read_json(FAILURE)
    assert kept == failure
    shown = capsys.readouterr().out
    assert "http://host/a.png" in shown
    assert "\x1b" not in shown
    for told in (text, shown, *kept.values()):
        assert "secret" not in told
