"""An MLflow server that is away costs a sweep nothing: its pages end as if it had been there."""

import os
import signal
import subprocess
import sys

import pytest
from job_processes import ROOT, environment, finish, wait_for

from mlflow_server import free_port, mlflow_server

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SWEEP = (
    *("--trials", "4", "--steps", "60", "--workers", "1", "--crops-per-photo", "10", "--smoke"),
    *("--backbone", "shallow", "--image-size", "52", "--input-size", "48"),
    *("--labelled-pairs", "16", "--unlabelled-sets", "8"),
)
# Who starts it waits a minute for the server otherwise.
IMPATIENT = """
import runpy, sys
sys.path.insert(0, sys.argv[1] + "/platform")
from rankloop.tracking import opening
opening.PATIENCE_SECONDS = 0.0
sys.argv = [sys.argv[1] + "/jobs/" + sys.argv[2], *sys.argv[3:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def sweep(storage, port):
    return job("tune_qrc.py", storage, port, *SWEEP)


def job(name, storage, port, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, str(ROOT), name, *arguments, "--storage", str(storage)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}"),
        cwd=storage.parent,
        start_new_session=True,
    )


def pages(url):
    """Of every run, by name: status, what it is under, parameters, and metrics' histories."""
    import mlflow

    client = mlflow.MlflowClient(url)
    experiment = client.get_experiment_by_name("ssranking")
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.info.run_name.split(" ")[0] for run in runs}
    return {
        names[run.info.run_id]: {
            "status": run.info.status,
            "under": names.get(run.data.tags.get("mlflow.parentRunId", "")),
            "stopped early": run.data.tags.get("stopped_early"),
            "params": run.data.params,
            "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
            "metrics": {
                name: sorted((p.step, p.value) for p in client.get_metric_history(id_, name))
                for id_ in [run.info.run_id]
                for name in run.data.metrics
            },
        }
        for run in runs
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("undisturbed"), free_port()
    with mlflow_server(folder / "server", port) as url:
        finish(sweep(folder / "results", port))
        found = pages(url)
    assert len(found) == 4 + 2 + 1
    assert all(run["status"] == "FINISHED" for run in found.values())
    assert all("validation/srocc" in run["metrics"] for run in found.values() if run["under"])
    return found


def test_killed_and_back_in_a_sweep(undisturbed, tmp_path):
    port = free_port()
    with mlflow_server(tmp_path / "server", port):
        process = sweep(tmp_path / "results", port)
        wait_for(process, "trial-0000  step")
    wait_for(process, "trial-0001  starts")
    wait_for(process, "trial-0001  step")
    # A sweep this small would be over before the server is back.
    os.kill(process.pid, signal.SIGSTOP)
    with mlflow_server(tmp_path / "server", port) as url:
        os.kill(process.pid, signal.SIGCONT)
        output, _ = finish(process)
        assert "is back" in output
        assert pages(url) == undisturbed


def test_away_from_start_to_end_and_there_when_run_again(undisturbed, tmp_path):
    port = free_port()
    output, _ = finish(sweep(tmp_path / "results", port))
    assert f"MLflow at http://127.0.0.1:{port} is away" in output
    with mlflow_server(tmp_path / "server", port) as url:
        finish(sweep(tmp_path / "results", port))
        assert pages(url) == undisturbed


def test_a_training_that_began_without_it(tmp_path):
    port = free_port()
    arguments = ("--smoke", "--steps", "40", "--evaluate-every", "10")
    process = job("train.py", tmp_path / "results", port, *arguments)
    wait_for(process, "step 10 of 40")
    os.kill(process.pid, signal.SIGSTOP)
    with mlflow_server(tmp_path / "server", port) as url:
        os.kill(process.pid, signal.SIGCONT)
        finish(process)
        (run,) = pages(url).values()
    assert run["status"] == "FINISHED"
    assert [step for step, _ in run["metrics"]["validation/srocc"]] == [10, 20, 30, 40]
    assert [step for step, _ in run["metrics"]["loss/ranking"]] == list(range(1, 41))
    assert {"plots", "result.json"} <= set(run["files"])


def test_a_training_without_it_says_what_the_pages_lack(tmp_path):
    port = free_port()
    arguments = ("--smoke", "--steps", "40", "--evaluate-every", "10")
    output, _ = finish(job("train.py", tmp_path / "results", port, *arguments))
    lacks = "MLflow lacks some of this: run the same command again when it works"
    assert lacks in output
    with mlflow_server(tmp_path / "server", port) as url:
        output, _ = finish(job("train.py", tmp_path / "results", port, *arguments))
        (run,) = pages(url).values()
    assert lacks not in output
    assert run["status"] == "FINISHED"
    assert [step for step, _ in run["metrics"]["validation/srocc"]] == [10, 20, 30, 40]
    assert {"plots", "result.json"} <= set(run["files"])
