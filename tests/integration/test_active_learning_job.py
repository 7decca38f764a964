"""jobs/active_learning.py as a user and a scheduler run it."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from job_processes import ROOT, environment, finish, kill_driver, start, wait_for
from mlflow import MlflowClient

from rankloop.locking import locked
from rankloop.randomness import rng
from rankloop.storage import open_folder
from scored_photos import write_scored_photos

pytestmark = pytest.mark.integration

SMALL = (
    *("--backbone", "shallow", "--weights", "none", "--input-size", "48", "--steps", "20"),
    *("--distortions", "gaussian_noise", "gaussian_blur", "--ranked-images", "10"),
    *("--labelled-images", "4", "--learning-rate", "0.01", "--test-sub-images", "2"),
    *("--start-share", "0.25", "--cycle-share", "0.25", "--certainty-pairs", "20"),
)
HERE = ("--workers", "0", "--scoring-workers", "0")
THROUGH_RAY = ("--workers", "1", "--data-workers", "0", "--scoring-workers", "1")
KILLS = 20


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scored_photos(tmp_path_factory.mktemp("photos"))


def _data(photos: Path) -> tuple[str, ...]:
    return ("--data", f"csv:{photos}/scores.csv?higher_is_better=true", f"folder:{photos}")


def _protocol(photos: Path, *more: str) -> tuple[str, ...]:
    return ("rankiqa", "--cycles", "2", *_data(photos), *SMALL, *more)


def _decisions(campaign: Path) -> list[object]:
    """What was selected, labelled and measured, without what a clock says."""
    found: list[object] = []
    for folder in sorted(campaign.glob("cycle-*")):
        selected, trained = folder / "selected.json", folder / "trained.json"
        labels = folder / "labels.parquet"
        found.append(
            (
                folder.name,
                json.loads(selected.read_text())["items"] if selected.exists() else None,
                pq.read_table(labels).to_pylist() if labels.exists() else None,
                json.loads(trained.read_text())["metrics"] if trained.exists() else None,
            )
        )
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> list[object]:
    storage = tmp_path_factory.mktemp("undisturbed") / "results"
    output, campaign = finish(start("active_learning.py", storage, *_protocol(photos, *HERE)))
    assert "labelled items" in output
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'rankiqa'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 4
    history = client.get_metric_history(parent.info.run_id, "test/srocc")
    assert len(history) == 3
    names = {file.path for file in client.list_artifacts(parent.info.run_id, "plots")}
    assert "plots/learning_curve_srocc.png" in names
    for run in runs:
        if run is not parent:
            assert run.data.metrics["seconds/training"] > 0
            assert "share" in run.data.metrics
    return _decisions(campaign)


@pytest.mark.slow
def test_killed_and_run_again_the_campaign_makes_the_same_decisions(
    tmp_path: Path, photos: Path, undisturbed: list[object]
):
    storage = tmp_path / "results"
    process = start("active_learning.py", storage, *_protocol(photos, *HERE))
    wait_for(process, "cycle 1: step 20 of 20")
    kill_driver(process)
    output, campaign = finish(start("active_learning.py", storage, *_protocol(photos, *HERE)))
    assert "cycle 0: selected" not in output
    assert _decisions(campaign) == undisturbed
    status, again = finish(start("active_learning.py", storage, "rankiqa", "--status"))
    assert again == campaign
    assert "cycle 3 was the last" in status
    # MLflow lost: rebuilt from the files.
    (storage / "mlflow.db").unlink()
    finish(start("active_learning.py", storage, "rankiqa", "--resync"))
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'rankiqa'")
    assert len(client.search_runs([experiment.experiment_id])) == 4


@pytest.mark.slow
def test_rounds_with_people_who_drop_files(tmp_path: Path, photos: Path):
    storage = tmp_path / "results"
    arguments = ("rankiqa", "--round", *_data(photos), *SMALL, *HERE, "--settled-seconds", "0")
    output, campaign = finish(start("active_learning.py", storage, *arguments))
    # The data have labels: the first round trains on them and asks.
    request = campaign / "cycle-001" / "request"
    assert f"put answers to {request / 'answers'}" in output
    rows = list(csv.DictReader((request / "form.csv").open()))
    assert len(rows) == 2
    before = (campaign / "cycle-001" / "trained.json").read_bytes()
    for asked in (arguments, ("rankiqa", "--status")):
        output, _ = finish(start("active_learning.py", storage, *asked))
        assert "0 of 2 labels are there" in output
    (request / "answers" / "anna.csv").write_text(
        "image,score\n" + "\n".join(f"{row['image']},5" for row in rows) + "\nother.png,1"
    )
    output, _ = finish(start("active_learning.py", storage, *arguments))
    assert (campaign / "cycle-001" / "trained.json").read_bytes() == before
    labels = pq.read_table(campaign / "cycle-001" / "labels.parquet").to_pylist()
    assert sorted(row["question"] for row in labels) == sorted(row["name"] for row in rows)
    done = json.loads((campaign / "cycle-001" / "done.json").read_text())
    where = f"{request / 'answers' / 'anna.csv'}, line 4"
    assert done["refused"] == [[where, "image 'other.png' was not asked about"]]
    assert (campaign / "cycle-002" / "request" / "form.csv").exists()
    both = [start("active_learning.py", storage, *arguments) for _ in range(2)]
    for process in both:
        output, _ = finish(process)
        assert "0 of 2 labels are there" in output or "nothing to do: another driver" in output
    other = start("active_learning.py", storage, *arguments, "--split", "80-20")
    output, _ = other.communicate(timeout=200)
    assert other.returncode == 1
    assert "and not 80-20: give the options that it began with" in output


def test_a_first_round_beside_another_has_nothing_to_do(tmp_path: Path, photos: Path):
    storage = tmp_path / "results"
    with locked(open_folder(str(storage)) / "active_learning" / "campaign"):
        arguments = ("rankiqa", "--round", *_data(photos), *SMALL, *HERE)
        output, _ = finish(start("active_learning.py", storage, *arguments))
    assert "nothing to do: another driver" in output


def test_a_round_without_any_label_is_refused(tmp_path: Path, photos: Path):
    arguments = ("rankiqa", "--round", "--data", f"folder:{photos}", *SMALL)
    process = start("active_learning.py", tmp_path / "results", *arguments)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1, output
    assert "nothing is labelled, so that no round could be measured" in output
    assert "Traceback" not in output


def _processes(title: str, driver: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if title in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


TITLES = {"actor": "ray::_Conductor", "training": "RayTrainWorker", "scoring": "MapWorker"}
# Seconds from kill to kill, at most: scoring is over soon.
LONGEST = {"driver": 8.0, "actor": 8.0, "training": 8.0, "scoring": 2.0}


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["driver", *TITLES])
def test_killed_twenty_times_the_campaign_makes_the_same_decisions(
    tmp_path: Path, photos: Path, undisturbed: list[object], victim: str
):
    storage = tmp_path / "results"
    log = (tmp_path / "log").open("w")
    arguments = ["--storage", str(storage), *_protocol(photos, *THROUGH_RAY)]
    job = [sys.executable, str(ROOT / "jobs" / "active_learning.py"), *arguments]
    kills, runs = 0, 0
    while True:
        runs += 1
        assert runs < 100
        driver = subprocess.Popen(
            job, stdout=log, stderr=log, env=environment(), cwd=tmp_path, start_new_session=True
        )
        while driver.poll() is None:
            moment = time.monotonic() + rng(0, "kill", victim, kills).uniform(0.2, LONGEST[victim])
            while driver.poll() is None and time.monotonic() < moment:
                time.sleep(0.05)
            if kills == KILLS or driver.poll() is not None:
                driver.wait()
                break
            if victim == "driver":
                kill_driver(driver)
                kills += 1
                break
            for process in _processes(TITLES[victim], driver)[:1]:
                try:
                    os.kill(process.pid, 9)
                    kills += 1
                except ProcessLookupError:
                    continue
        # A command that gave up, its workers lost too often, is run again.
        if driver.returncode == 0:
            break
    campaign = storage / "active_learning" / "campaign"
    assert _decisions(campaign) == undisturbed
    print(f"{victim}: {kills} kills, {runs} runs of the command")
    assert kills == KILLS
