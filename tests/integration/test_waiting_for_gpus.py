"""Jobs on a cluster whose GPUs or hosts are not there say what they wait for."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from job_processes import ROOT, environment, finish, run_script, wait_for
from ray.cluster_utils import Cluster

from rankloop.images import encode
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.storage import open_folder
from rankloop.training.checkpoints import Checkpoint, save_checkpoint

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Who starts it waits a minute for the first line otherwise.
IMPATIENT = """
import runpy, sys
sys.path.insert(0, sys.argv[1] + "/platform")
from rankloop import waiting
waiting.SECONDS = 2.0
sys.argv = [f"{sys.argv[1]}/jobs/{sys.argv[2]}", *sys.argv[3:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


BEGUN = """
import time
from rankloop.cluster import connected
from rankloop.waiting import Begun
import ray

say = ray.remote(lambda begun: begun.say())

def within(seconds, happened):
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.1)
    return happened()

def gone(begun):
    try:
        return ray.get(begun._said.is_said.remote()) is None
    except ray.exceptions.RayActorError:
        return True

with connected(1):
    with Begun() as begun:
        print("BEFORE", begun(), flush=True)
        ray.get(say.remote(begun))
        print("AFTER", within(60, begun), begun(), flush=True)
    print("ENDED", within(60, lambda: gone(begun)), flush=True)
    with Begun() as lost:
        print("NEW", lost(), flush=True)
        ray.kill(lost._said)
        print("LOST", within(60, lost), ray.get(say.remote(lost)), flush=True)
"""


def _scorer_and_photos(folder):
    config = SSRankingConfig(backbone="shallow", image_size=48, input_size=48)
    identity = {"method": "ssranking", "config": config.model_dump(mode="json"), "seed": 0}
    tensors = SSRANKING.build(config, 0).state_dict()
    checkpoint = Checkpoint(1, tensors, {}, identity, {})
    save_checkpoint(open_folder(str(folder / "result")), "checkpoint", checkpoint)
    (folder / "photos").mkdir()
    for i in range(80):
        pixels = np.full((60, 60, 3), i, np.uint8)
        (folder / "photos" / f"{i}.png").write_bytes(encode(pixels))


def _started(folder, job, *arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, str(ROOT), job, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(**variables),
        cwd=folder,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("job", "arguments", "line"),
    [
        ("tune_qrc.py", ["--smoke"], "waiting for 1 GPU per trial; the cluster has 0 GPUs and "),
        ("train.py", ["--smoke"], "waiting for 1 GPU per worker; the cluster has 0 GPUs and "),
        (
            "score.py",
            ["result", "photos", "--workers", "2"],
            "waiting for 1 GPU per copy of the model; the cluster has 0 GPUs and ",
        ),
    ],
)
def test_it_is_said_what_is_waited_for(job, arguments, line, tmp_path):
    _scorer_and_photos(tmp_path)
    process = _started(tmp_path, job, *arguments, RANKLOOP_GPUS="2")
    for _ in range(2):
        wait_for(process, line)
    process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, output


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_lost_its_only_host_says_what_it_waits_for(workers, tmp_path):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        host = cluster.add_node(num_cpus=workers)
        arguments = ("--steps", "2000", "--workers", str(workers), "--storage", str(tmp_path))
        process = _started(tmp_path, "train.py", "--smoke", *arguments, RAY_ADDRESS=cluster.address)
        wait_for(process, "step 200 of 2000")
        cluster.remove_node(host, allow_graceful=False)
        wait_for(process, "waiting for 1 core per worker; the cluster has 0 GPUs and 0 cores now")
        cluster.add_node(num_cpus=workers)
        output, _ = finish(process)
    finally:
        cluster.shutdown()
    assert "test (labels: synthetic" in output


def test_a_worker_says_that_it_has_begun():
    output = run_script(BEGUN)
    assert output.endswith("BEFORE False\nAFTER True True\nENDED True\nNEW False\nLOST True None\n")
