"""Ray started within a process, as often as it likes, reachable with its token only."""

import subprocess
import sys

import pytest
from job_processes import ROOT, environment

pytestmark = pytest.mark.integration

TWICE = """
import os
from rankloop.cluster import connected
import ray

for _ in range(2):
    with connected(1):
        print("FOUND", ray.get(ray.remote(lambda: 6 * 7).remote()))
assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
"""


def test_a_process_may_start_ray_again_and_again():
    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        env=environment(PYTHONPATH=str(ROOT / "platform")),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("FOUND 42") == 2
