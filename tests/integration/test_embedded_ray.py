"""Ray started within a process, as often as it likes, whose workers keep freed memory."""

import platform

import pytest
from job_processes import run_script

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

FAULTS = """
import resource, threading
from rankloop.cluster import connected
import ray

def faults():
    found = []
    def allocate():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        b"x" * 100_000_000
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    for _ in range(2):
        thread = threading.Thread(target=allocate)
        thread.start()
        thread.join()
    return found[1]

print("HERE", faults())
with connected(1):
    print("WORKER", ray.get(ray.remote(faults).remote()))
"""


@pytest.mark.slow
def test_a_process_may_start_ray_again_and_again():
    assert run_script(TWICE).count("FOUND 42") == 2


@pytest.mark.skipif(not platform.libc_ver()[0].startswith("glibc"), reason="another C library")
def test_workers_use_freed_memory_again():
    found = dict(line.split() for line in run_script(FAULTS).splitlines() if line[:1] in "HW")
    assert int(found["HERE"]) > 1000
    assert int(found["WORKER"]) < 100
