"""Running jobs as a user does, and killing them as a failing machine does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]


def environment(**more):
    return {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Bits depend on the number of threads that add up a sum.
        "OMP_NUM_THREADS": "1",
        # Jobs must find the package by themselves.
        "PYTHONPATH": "",
        **more,
    }


def start(job, storage, *arguments):
    """Start a job with its storage; standard output and error come as one."""
    where = Path.cwd() if "://" in str(storage) else Path(storage).parent
    where.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "jobs" / job), *arguments, "--storage", str(storage)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        cwd=where,
        start_new_session=True,
    )


def finish(process):
    """Wait for a job that must end well; return its output and result folder."""
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    return output, Path(output.strip().splitlines()[-1])


def kill_driver(process):
    """kill -9 of the driver alone; all that trains on its Ray must then end by itself."""
    children = psutil.Process(process.pid).children(recursive=True)
    # Ray's agents linger for a minute; they train nothing and write nothing of ours.
    trains = [child for child in children if "Agent" not in " ".join(child.cmdline())]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(trains, timeout=60)
    assert not alive


def wait_for(process, text):
    """Read a job's output up to a line with a text."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} never came:\n{''.join(seen)}")


def run_script(script: str) -> str:
    """Run Python code to its end, which must be good, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(PYTHONPATH=str(ROOT / "platform")),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
