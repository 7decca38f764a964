"""Runs over Ray: the same models wherever rows are made, and a result for each."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rankloop.storage import open_folder
from rankloop.streams.shared_images import share_images
from rankloop.training.checkpoints import load_latest
from rankloop.training.loop import Schedule
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.run_result import make_run_result
from rankloop.tuning.runs import RunWatcher, train_runs
from rankloop.tuning.suggestions import FixedRuns, Run
from rankloop.tuning.watcher import TrackingWatcher

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_session")]

STEPS = 10
RUNS = [Run("a", {"epsilon_qrc": 0.01}, 1), Run("b", {"epsilon_qrc": 0.2}, 2)]


class Ended(RunWatcher):
    def __init__(self):
        self.runs = {}

    def ended(self, run, result):
        self.runs[run["name"]] = result


class Both(RunWatcher):
    def __init__(self, *watchers):
        self.watchers = watchers

    def started(self, run):
        for watcher in self.watchers:
            watcher.started(run)

    def reported(self, run, result):
        for watcher in self.watchers:
            watcher.reported(run, result)

    def ended(self, run, result):
        for watcher in self.watchers:
            watcher.ended(run, result)


@pytest.fixture
def context(data, pixels, tiny_config, tmp_path):
    return RunContext(
        method="ssranking",
        base=tiny_config(steps=STEPS),
        data=share_images(data, pixels),
        folder=open_folder(str(tmp_path / "here")),
        schedule=Schedule(evaluate_every=5, checkpoint_every=5),
        metric="srocc",
    )


@pytest.mark.slow
def test_rows_from_ray_data_give_the_same_models(context, tmp_path):
    elsewhere = replace(context, folder=open_folder(str(tmp_path / "ray data")), data_workers=1)
    for where in (context, elsewhere):
        watcher = Ended()
        train_runs(where, FixedRuns(RUNS), at_once=2, watcher=watcher)
        assert {name: result["step"] for name, result in watcher.runs.items()} == {
            "a": STEPS,
            "b": STEPS,
        }
    for run in RUNS:
        one, other = (
            load_latest(where.run_folder(run.name) / "checkpoints")
            for where in (context, elsewhere)
        )
        assert one.step == other.step == STEPS
        assert all(np.array_equal(one.model[name], other.model[name]) for name in one.model)


def test_every_run_has_its_result(context):
    train_runs(context, FixedRuns(RUNS), at_once=2, watcher=Ended())
    always = {
        "result.json",
        "plots/training_curves.png",
        "plots/first_batch_labelled.png",
        "plots/first_batch_unlabelled.png",
    }
    scores = "plots/validation_scores.png"
    for name, seed in (("a", 1), ("b", 2)):
        run = context.run_folder(name)
        before = run.read_json("result.json")
        assert before["steps_trained"] == STEPS
        assert before["seeds"] == [seed]
        assert set(before["metrics"]) == {"validation"}
        assert before["replaced_images"] == {}
        # It is there already: nothing is made again.
        written = os.stat(f"{run}/result.json")
        assert set(make_run_result(context, name)) == {*always, scores}
        assert os.stat(f"{run}/result.json") == written
    assert context.run_folder("a").read_json("result.json")["config"]["epsilon_qrc"] == 0.01
    # One that was stopped early has no test of its scores, and one that never began has nothing.
    (context.run_folder("b") / "checkpoints").remove(f"step-{STEPS:09d}")
    context.run_folder("b").remove("plots/validation_scores.png")
    assert set(make_run_result(context, "b")) == always
    assert context.run_folder("b").read_json("result.json")["steps_trained"] == 5
    assert make_run_result(context, "never") == []


def test_values_that_contradict_the_configuration_fail_their_run_alone(context):
    least = context.base.blur_low / 2
    runs = [Run("a", {"blur_high": least}, 1, 0), RUNS[1]]
    tracked, ended = Tracked(), Ended()
    watcher = TrackingWatcher(tracked, context, "parent", 2)
    train_runs(context, FixedRuns(runs), at_once=2, watcher=Both(watcher, ended))
    watcher.add_results()
    assert tracked.ended == {"a": "FAILED", "b": "FINISHED"}
    assert tracked.params["a"]["blur_high"] == least
    (failure,) = watcher.failures
    assert "is above blur_high" in failure["error"]
    # Not to be tried again: it would be refused again.
    assert ended.runs["a"]["retry"] is False


class Tracked:
    """Keeps what would be sent to MLflow."""

    is_away = False

    def __init__(self):
        self.files, self.ended, self.params = {}, {}, {}

    def start_run(self, method, name, *, params, **details):
        self.params[name] = params
        return name

    def log_evaluation(self, *details):
        pass

    def lost(self, run_id):
        return set()

    def set_tags(self, *details):
        pass

    def finish(self, run_id, status):
        self.ended[run_id] = status

    def log_files(self, run_id, folder, names: Sequence[str]):
        self.files[run_id] = list(names)


def test_a_result_that_cannot_be_written_fails_nothing_else_and_is_named(context, tmp_path):
    in_the_way = tmp_path / "here" / "runs" / "a" / "result.json"
    (in_the_way / "full").mkdir(parents=True)
    tracked = Tracked()
    watcher = TrackingWatcher(tracked, context, "parent", 2)
    train_runs(context, FixedRuns(RUNS), at_once=2, watcher=watcher)
    watcher.add_results()
    assert tracked.ended == {"a": "FINISHED", "b": "FINISHED"}
    (failure,) = watcher.failures
    assert failure["run"] == "a"
    assert "result.json" in failure["error"]
    assert "result.json" in tracked.files["b"]
    shutil.rmtree(in_the_way)
    assert "result.json" in make_run_result(context, "a")
