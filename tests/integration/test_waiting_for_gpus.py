"""Jobs on a cluster whose GPUs never come say what they wait for."""

import os
import signal
import subprocess
import sys

import pytest
from job_processes import ROOT, environment, wait_for

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


@pytest.mark.parametrize(
    ("job", "line"),
    [
        ("tune_qrc.py", "waiting for 1 GPU per trial; the cluster has 0 GPUs and "),
        ("train.py", "waiting for 1 GPU per worker; the cluster has 0 GPUs and "),
    ],
)
def test_it_is_said_what_is_waited_for(job, line, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, str(ROOT), job, "--smoke"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(RANKLOOP_GPUS="1"),
        cwd=tmp_path,
        start_new_session=True,
    )
    for _ in range(2):
        wait_for(process, line)
    process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, output
