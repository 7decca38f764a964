"""Runs over Ray: the same models wherever rows are made, and a result for each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rankloop.storage import open_folder
from rankloop.streams.shared_images import share_images
from rankloop.training.checkpoints import load_latest
from rankloop.training.loop import Schedule
from rankloop.tuning.run_results import add_run_results
from rankloop.tuning.runs import RunContext, RunWatcher, train_runs
from rankloop.tuning.suggestions import FixedRuns, Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_session")]

STEPS = 10
RUNS = [Run("a", {"epsilon_qrc": 0.01}, 1), Run("b", {"epsilon_qrc": 0.2}, 2)]


class Artifacts:
    """Keeps what would be logged to MLflow."""

    def __init__(self):
        self.files = {}

    def log_files(self, run_id, folder, names: Sequence[str]):
        self.files[run_id] = {name: folder.read_bytes(name) for name in names}


class Ended(RunWatcher):
    def __init__(self):
        self.runs = {}

    def ended(self, run, result):
        self.runs[run["name"]] = result


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


def test_rows_from_ray_data_give_the_same_models_and_each_run_its_result(context, tmp_path):
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

    # A run that was stopped early, and one that never began.
    stopped = context.run_folder("b") / "checkpoints"
    stopped.remove(f"step-{STEPS:09d}")
    tracking = Artifacts()
    ids = {"a": "id-a", "b": "id-b", "never": "id-never"}
    assert add_run_results(context, tracking, ids, ["validation"]) == []
    always = {
        "result.json",
        "plots/training_curves.png",
        "plots/first_batch_labelled.png",
        "plots/first_batch_unlabelled.png",
    }
    assert set(tracking.files["id-a"]) == {*always, "plots/validation_scores.png"}
    assert set(tracking.files["id-b"]) == always
    assert tracking.files["id-never"] == {}
    results = {name: context.run_folder(name).read_json("result.json") for name in ("a", "b")}
    assert [results[name]["steps_trained"] for name in ("a", "b")] == [STEPS, 5]
    assert results["a"]["config"]["epsilon_qrc"] == 0.01
    assert results["a"]["seeds"] == [1]
    assert set(results["a"]["metrics"]) == {"validation"}
    before = context.run_folder("a").read_bytes("result.json")
    again = Artifacts()
    add_run_results(context, again, ids, ["validation"])
    assert again.files == tracking.files
    assert context.run_folder("a").read_bytes("result.json") == before


def test_a_run_whose_model_cannot_be_evaluated_is_named(context):
    train_runs(context, FixedRuns(RUNS[:1]), at_once=1, watcher=RunWatcher())
    # Taking the length of a row's number fails.
    broken = replace(context, data=replace(context.data, load=len))
    (failure,) = add_run_results(broken, Artifacts(), {"a": "id"}, ["validation"])
    assert failure["run"] == "a"
    assert "len()" in failure["error"]
    assert not broken.run_folder("a").has("result.json")
