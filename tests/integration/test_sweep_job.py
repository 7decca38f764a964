"""jobs/tune_qrc.py as a user runs it: killed, run again, run twice, fed nonsense."""

import json
import re
import subprocess
import sys

import pytest
from job_processes import environment, finish, kill_driver, start, wait_for

pytestmark = pytest.mark.integration

# As small as --smoke, whose winners are not registered.
SWEEP = (
    *("--trials", "4", "--steps", "60", "--workers", "1", "--crops-per-photo", "10"),
    *("--backbone", "shallow", "--image-size", "52", "--input-size", "48"),
    *("--labelled-pairs", "16", "--unlabelled-sets", "8"),
)


def sweep(storage, *more):
    return start("tune_qrc.py", storage, *SWEEP, *more)


def decisions(folder):
    """Every suggestion and stopping decision, from the study's own journal."""
    from rankloop.storage import open_folder
    from rankloop.tuning.study import open_study, recorded

    study = open_study(open_folder(str(folder / "study")), {})
    return [(t.number, t.params, t.state.name, t.value, recorded(t)) for t in study.get_trials()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    storage = tmp_path_factory.mktemp("whole") / "results"
    return finish(sweep(storage))


def test_it_ends_with_a_report_and_the_result_folder(whole):
    output, folder = whole
    result = json.loads((folder / "result.json").read_text())
    assert set(result["metrics"]) == {"best", "best_supervised", "paper", "paper_supervised"}
    assert result["data"]["annotator"].startswith("synthetic")
    assert sum(result["trials"].values()) == 4
    best = result["metrics"]["best"]["validation"]["srocc"]
    assert best >= result["metrics"]["paper"]["validation"]["srocc"]
    assert f"{best:.4f}" in output
    assert "mlflow ui --backend-store-uri" in output
    assert {path.name for path in (folder / "checkpoint").iterdir()} == {
        "model.safetensors",
        "optimizer.safetensors",
        "config.json",
        "state.json",
    }


def test_killed_and_run_again_it_decides_as_if_it_had_not_been(whole, tmp_path):
    storage = tmp_path / "results"
    process = sweep(storage)
    wait_for(process, "trial-0001  starts")
    kill_driver(process)
    _, folder = finish(sweep(storage))
    assert decisions(folder) == decisions(whole[1])
    mine = json.loads((folder / "result.json").read_text())
    assert mine["metrics"] == json.loads((whole[1] / "result.json").read_text())["metrics"]


@pytest.mark.slow
def test_run_again_after_its_end_it_trains_nothing_and_says_the_same(whole):
    output, folder = whole
    before = {p: p.stat().st_mtime for p in folder.glob("runs/*/checkpoints/*/state.json")}
    again, _ = finish(sweep(folder.parents[1]))
    after = {p: p.stat().st_mtime for p in folder.glob("runs/*/checkpoints/*/state.json")}
    assert before == after
    # No worker is asked for, which a cluster would start.
    assert not re.findall("starts: |goes on from", again)
    assert _report(again) == _report(output)


def _report(output):
    """What a sweep prints at its end, but for the order of the runs in the page's address."""
    text = output.partition("Sweep of ")[2]
    found = sorted(re.findall(r"%22(\w+)%22", text))
    return found, re.sub(r"runs=\S+", "", text)


def test_mlflow_has_one_parent_and_a_child_per_run(whole):
    import mlflow

    _, folder = whole
    client = mlflow.MlflowClient(f"sqlite:///{folder.parents[1]}/mlflow.db")
    experiment = client.get_experiment_by_name("ssranking")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = [run for run in runs if run not in parents]
    assert len(children) == 4 + 2
    assert all(run.info.status == "FINISHED" for run in runs)
    for run in children:
        assert "epsilon_qrc" in run.data.params
        assert "validation/srocc" in run.data.metrics
    steps = [p.step for p in client.get_metric_history(children[0].info.run_id, "loss/ranking")]
    assert len(steps) == len(set(steps)) > 0
    # Run twice by now, registered once.
    (version,) = client.search_model_versions("name = 'rankloop-ssranking'")
    assert (
        client.get_model_version_by_alias("rankloop-ssranking", "best").version == version.version
    )
    for run in children:
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert files >= {"result.json", "plots"}
    plots = {file.path for file in client.list_artifacts(parents[0].info.run_id, "plots")}
    assert {"plots/optimization_history.png", "plots/test_scores.png"} <= plots


def test_the_winner_predicts_through_mlflow(whole, tmp_path):
    import numpy as np

    from rankloop.images import encode

    _, folder = whole
    uri = f"sqlite:///{folder.parents[1]}/mlflow.db"
    code = f"""
import mlflow, sys
mlflow.set_tracking_uri({uri!r})
model = mlflow.pyfunc.load_model("models:/rankloop-ssranking@best")
image = open({str(tmp_path / "a.png")!r}, "rb").read()
print(list(model.predict([image])), list(model.predict([{str(tmp_path / "a.png")!r}])))
"""
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encode(noise))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    by_bytes, by_path = done.stdout.strip().splitlines()[-1].split("] [")
    assert by_bytes.strip("[]") == by_path.strip("[]")


@pytest.mark.slow
def test_a_second_driver_on_the_same_folder_is_refused(tmp_path):
    storage = tmp_path / "results"
    first = sweep(storage)
    wait_for(first, "starts")
    second = sweep(storage)
    output, _ = second.communicate(timeout=100)
    assert second.returncode == 1
    assert "error: another driver" in output
    kill_driver(first)


@pytest.mark.slow
def test_when_all_trials_fail_the_job_fails_and_shows_the_first_traceback(tmp_path):
    (tmp_path / "damaged.safetensors").write_bytes(b"no weights")
    weights = str(tmp_path / "damaged.safetensors")
    arguments = ("--backbone", "resnet18", "--weights", weights)
    output, _ = (process := sweep(tmp_path / "results", *arguments)).communicate(timeout=200)
    assert process.returncode == 1
    assert "error: all 5 runs failed; the first (trial-0000) with:" in output
    assert "Traceback" in output
    assert "damaged.safetensors" in output
