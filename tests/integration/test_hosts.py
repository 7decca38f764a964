"""Jobs over several hosts, and what happens to them when hosts, cables or storage fail.

By hand: ``make cluster``. Each fault's line of the table that it prints says what was lost.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from ray_hosts import RayHosts, ray_hosts
from safetensors.numpy import load_file

from rankloop.tuning.suggestions import run_name
from scored_photos import write_scored_photos

# A host counts as lost after a minute, and a job goes on for as long after.
pytestmark = [pytest.mark.integration, pytest.mark.cluster, pytest.mark.timeout(1800)]

TRAIN = (
    *("python", "jobs/train.py", "ssranking", "--smoke", "--steps", "3000", "--data-workers", "0"),
    *("--checkpoint-every", "50", "--evaluate-every", "250"),
)
SWEEP = (
    *("python", "jobs/tune_qrc.py", "--smoke", "--workers", "4", "--trials", "4"),
    *("--steps", "400"),
)
CAMPAIGN = (
    *("python", "jobs/active_learning.py", "rankiqa", "--cycles", "2", "--workers", "1"),
    *("--data-workers", "0", "--scoring-workers", "2", "--backbone", "shallow"),
    *("--weights", "none", "--input-size", "48", "--steps", "20", "--ranked-images", "10"),
    *("--distortions", "gaussian_noise", "gaussian_blur", "--labelled-images", "4"),
    *("--learning-rate", "0.01", "--test-sub-images", "2", "--start-share", "0.25"),
    *("--cycle-share", "0.25", "--certainty-pairs", "4000"),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHosts]:
    with ray_hosts(tmp_path_factory.mktemp("hosts")) as found:
        yield found


@pytest.fixture(autouse=True)
def whole(cluster: RayHosts) -> None:
    """Every test begins with all hosts."""
    cluster.wait_for(1 + len(cluster.workers), seconds=240)


@pytest.fixture(scope="module")
def data(cluster: RayHosts, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Scored photographs, packed into the bucket."""
    photos = write_scored_photos(tmp_path_factory.mktemp("photos"))
    packed = cluster.uri("pack")
    source = f"csv:{photos}/scores.csv?higher_is_better=true"
    cluster.head.run("python", "jobs/ingest.py", source, "--output", packed)
    return ("--data", f"pack:{packed}")


def result(cluster: RayHosts, output: str) -> dict[str, object]:
    found: dict[str, object] = cluster.read_json(f"{folder_of(output)}/result.json")
    return found


def folder_of(output: str) -> str:
    """Path in the bucket of the result folder that a job has printed last."""
    return output.strip().splitlines()[-1].removeprefix("s3://rankloop/").partition("?")[0]


def decisions(cluster: RayHosts, output: str) -> list[object]:
    """What a campaign selected and measured."""
    folder = folder_of(output)
    return [
        (
            cluster.read_json(f"{folder}/cycle-{number:03d}/selected.json")["items"],
            cluster.read_json(f"{folder}/cycle-{number:03d}/trained.json")["metrics"],
        )
        for number in (1, 2)
    ]


@pytest.fixture(scope="module")
def undisturbed(
    cluster: RayHosts,
) -> Callable[[str, tuple[str, ...]], tuple[str, dict[str, object]]]:
    """What a command ends with when nothing happens: output and result."""
    known: dict[tuple[str, ...], str] = {}

    def run(name: str, command: tuple[str, ...]) -> tuple[str, dict[str, object]]:
        if command not in known:
            known[command] = cluster.finish(
                cluster.job(*command, "--storage", cluster.uri(f"undisturbed-{name}"))
            )
        return known[command], result(cluster, known[command])

    return run


def curves(cluster: RayHosts, output: str) -> dict[str, list[object]]:
    """What was reported of each run of a sweep."""
    runs = f"{folder_of(output)}/runs"
    found = {}
    for run in cluster.names(runs):
        newest = max(cluster.names(f"{runs}/{run}/checkpoints"))
        state = cluster.read_json(f"{runs}/{run}/checkpoints/{newest}/state.json")
        found[run] = state["state"]["reports"]
    return found


def same_curves(cluster: RayHosts, output: str, undisturbed: str) -> None:
    """Each run of a sweep is the same as far as it went.

    How far is successive halving's decision, which depends on the order in which runs report: the
    winner and half of the runs at least must have gone as far.
    """
    found, whole = curves(cluster, output), curves(cluster, undisturbed)
    assert found.keys() == whole.keys()
    for name, reports in found.items():
        both = min(len(reports), len(whole[name]))
        assert both
        assert reports[:both] == whole[name][:both], name
    as_far = {name for name, reports in found.items() if len(reports) == len(whole[name])}
    assert run_name(int(str(result(cluster, undisturbed)["best_trial"]))) in as_far
    assert len(as_far) >= len(whole) / 2


def losses(cluster: RayHosts, output: str) -> np.ndarray:
    """What each term of the loss was at each step of a training of 3000, (3000, terms)."""
    name = f"{folder_of(output)}/checkpoints/step-000003000/optimizer.safetensors"
    found = load_file(cluster.fetch(name))
    return np.stack([found[name] for name in sorted(found) if name.startswith("loss/")], axis=1)


def same_but_for_rounding(found: np.ndarray, whole: np.ndarray) -> None:
    """Up to a fault losses are the same; then two halves of a step add up otherwise than the whole.

    What differs by rounding at first differs more and more as training goes on.
    """
    assert np.isfinite(found).all()
    differs = (found != whole).any(axis=1)
    if not differs.any():
        return
    first = int(np.argmax(differs))
    # The step of a checkpoint, or the next.
    assert first >= 200
    assert first % 50 <= 1
    np.testing.assert_allclose(found[first : first + 10], whole[first : first + 10], atol=1e-5)


@contextmanager
def timed(fault: str) -> Iterator[None]:
    """Print how long it took until work went on."""
    begun = time.monotonic()
    yield
    print(f"\n| {fault} | went on after {time.monotonic() - begun:.0f} s |", flush=True)


def test_training_shares_its_steps_among_hosts(cluster: RayHosts) -> None:
    command = (*TRAIN, "--steps", "100", "--workers", "2", "--data-workers", "1")
    output = cluster.finish(cluster.job(*command, "--storage", cluster.uri("train")))
    assert result(cluster, output)["budget"] == {"steps": 100}
    logs = "cat /tmp/ray/session_latest/logs/train/ray-train-app-controller*"
    started = re.findall(r"ip=([\d.]+)", cluster.head.run("sh", "-c", logs))
    assert {host.address for host in cluster.workers} <= set(started)
    # Rows are made on both, too.
    assert len(cluster.ran_on("MapBatches(make)")) == 2


def test_trials_of_a_sweep_run_on_all_hosts(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    _, found = undisturbed("sweep", SWEEP)
    assert found["trials"]["finished"] + found["trials"]["stopped_early"] == 4  # type: ignore[index]
    # Each host has room for one trial at a time.
    assert len(cluster.hosts_of("ImplicitFunc")) == 2


def test_a_host_that_vanishes_in_training_and_comes_back(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    command = (*TRAIN, "--workers", "2")
    job = cluster.job(*command, "--storage", cluster.uri("vanishing"))
    cluster.wait_for_output(job, "step 250 of")
    host = cluster.workers[1]
    with timed("host of a training worker vanishes"):
        host.kill()
        cluster.wait_for_output(job, "training goes on with 1 of 2 workers", seconds=300)
    with timed("the host comes back"):
        host.boot()
        cluster.start_worker(host)
        cluster.wait_for_output(job, "training goes on with 2 of 2 workers", seconds=300)
    found = losses(cluster, cluster.finish(job))
    whole, _ = undisturbed("train", command)
    same_but_for_rounding(found, losses(cluster, whole))


def test_a_cable_that_is_cut_for_a_minute(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    command = (*TRAIN, "--workers", "2")
    job = cluster.job(*command, "--storage", cluster.uri("cut"))
    cluster.wait_for_output(job, "step 250 of")
    host = cluster.workers[0]
    with timed("link to a host cut for 60 s"):
        host.cut()
        with pytest.raises(AssertionError, match=r"timed out|No route"):
            cluster.head.run("curl", "--max-time", "10", f"http://{host.address}:1")
        time.sleep(60)
        host.mend()
        cluster.wait_for_output(job, "step 750 of")
    found = losses(cluster, cluster.finish(job))
    whole, _ = undisturbed("train", command)
    same_but_for_rounding(found, losses(cluster, whole))


def test_a_host_lost_in_a_sweep(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    job = cluster.job(*SWEEP, "--storage", cluster.uri("lost-trial"))
    cluster.wait_for_output(job, "step 88 of")
    host = cluster.workers[1]
    with timed("host of trials lost in a sweep"):
        host.kill()
        cluster.wait_for_output(job, "goes on from step")
    host.boot()
    cluster.start_worker(host)
    output = cluster.finish(job)
    whole, _ = undisturbed("sweep", SWEEP)
    same_curves(cluster, output, whole)


def test_storage_that_answers_errors_for_a_while(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    job = cluster.job(*SWEEP, "--storage", cluster.uri("away"))
    cluster.wait_for_output(job, "step 88 of")
    with timed("storage answers errors for 40 s"):
        cluster.away.touch()
        time.sleep(40)
        before = cluster.output(job)
        cluster.away.unlink()
        cluster.wait_for_change(job, before)
    output = cluster.finish(job)
    # Whoever used it meanwhile waited: a trial says so in its host's log, the job itself here.
    logs = ("sh", "-c", "cat /tmp/ray/session_latest/logs/worker-*.err")
    said = [output, *(host.run(*logs) for host in cluster.workers)]
    assert any("trying again" in text for text in said)
    whole, expected = undisturbed("sweep", SWEEP)
    same_curves(cluster, output, whole)
    assert result(cluster, output)["trials"] == expected["trials"]


def test_mlflow_away_for_a_while(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    job = cluster.job(*SWEEP, "--storage", cluster.uri("without-mlflow"))
    before = cluster.wait_for_output(job, "step 88 of")
    with timed("MLflow killed for 30 s"):
        cluster.stop_mlflow()
        cluster.wait_for_change(job, before)
    time.sleep(30)
    cluster.start_mlflow()
    output = cluster.finish(job)
    assert "is back" in output
    whole, _ = undisturbed("sweep", SWEEP)
    same_curves(cluster, output, whole)
    logged, wholly_logged = (
        cluster.histories(re.findall("^and open (.*)$", said, re.MULTILINE)[0], "validation/srocc")
        for said in (output, whole)
    )
    assert logged.keys() == wholly_logged.keys()
    reported = curves(cluster, output)
    for name, points in logged.items():
        assert len(points) == len(reported[name]), name
        both = min(len(points), len(wholly_logged[name]))
        assert both
        assert points[:both] == wholly_logged[name][:both], name


def test_a_disk_that_fills(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    job = cluster.job(*SWEEP, "--storage", cluster.uri("full"))
    cluster.wait_for_output(job, "step 88 of")
    with timed("a worker's disk full for 40 s"):
        cluster.workers[0].fill_disk()
        time.sleep(40)
        before = cluster.output(job)
        cluster.workers[0].free_disk()
        cluster.wait_for_change(job, before)
    output = cluster.finish(job)
    whole, _ = undisturbed("sweep", SWEEP)
    same_curves(cluster, output, whole)


def test_a_head_that_restarts(
    cluster: RayHosts, undisturbed: Callable[..., tuple[str, dict[str, object]]]
) -> None:
    command = (*SWEEP, "--storage", cluster.uri("restarted"))
    job = cluster.job(*command)
    cluster.wait_for_output(job, "step 88 of")
    with timed("head restarts, job submitted again"):
        cluster.head.kill()
        cluster.head.boot()
        cluster.start_head()
        cluster.wait_for(1 + len(cluster.workers), seconds=240)
        again = cluster.job(*command)
        cluster.wait_for_output(again, "goes on from step")
    output = cluster.finish(again)
    whole, expected = undisturbed("sweep", SWEEP)
    same_curves(cluster, output, whole)
    assert result(cluster, output)["trials"] == expected["trials"]


def test_a_host_lost_while_a_pool_is_scored(
    cluster: RayHosts,
    data: tuple[str, ...],
    undisturbed: Callable[..., tuple[str, dict[str, object]]],
) -> None:
    command = (*CAMPAIGN, *data)
    whole = cluster.finish(cluster.job(*command, "--storage", cluster.uri("campaign")))
    job = cluster.job(*command, "--storage", cluster.uri("lost"))
    cluster.wait_for_output(job, "cycle 1: scor")
    host = cluster.workers[1]
    with timed("host lost while a pool is scored"):
        host.kill()
        assert "cycle 1: took in" not in cluster.output(job)
        cluster.wait_for_output(job, "cycle 1: took in", seconds=300)
    host.boot()
    cluster.start_worker(host)
    output = cluster.finish(job)
    assert json.dumps(decisions(cluster, output)) == json.dumps(decisions(cluster, whole))


def test_nothing_of_the_hosts_is_reached_by_name_alone(cluster: RayHosts) -> None:
    """MLflow and the dashboard listen on the head's loopback: other hosts are refused."""
    code = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
    for port in ("5000", "8265"):
        cluster.head.run("python", "-ISc", code, "127.0.0.1", port)
        with pytest.raises(AssertionError, match="ConnectionRefusedError"):
            cluster.workers[0].run("python", "-ISc", code, cluster.head.address, port)
