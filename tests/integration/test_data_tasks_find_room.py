"""More trials at once than cores, each with Ray Data tasks: none holds the cores that another's
tasks wait for."""

import subprocess
import sys

import pytest
from job_processes import ROOT, environment

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TRIALS, SECONDS = 4, 300
SWEEP = f"""
import sys
from rankloop.cluster import connected
from rankloop.datasets.options import DataOptions
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.storage import open_folder
from rankloop.streams.shared_images import share_images
from rankloop.training.experiment import prepare_data
from rankloop.training.loop import Schedule
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import RunWatcher, train_runs
from rankloop.tuning.suggestions import FixedRuns, Run

class Shown(RunWatcher):
    def ended(self, run, result):
        print("ENDED", run["name"], result.get("step"), flush=True)

config = SSRankingConfig(**{{**SSRANKING.smoke, "steps": 12}})
prepared = prepare_data(DataOptions(crops_per_photo=4), SSRANKING, config)
with connected(2):
    context = RunContext(
        method=SSRANKING.name,
        base=config,
        data=share_images(prepared.data, prepared.array),
        folder=open_folder(sys.argv[1]),
        schedule=Schedule(6, 6),
        metric="srocc",
        data_workers=1,
    )
    runs = [Run(f"trial-{{i}}", {{}}, i) for i in range({TRIALS})]
    train_runs(context, FixedRuns(runs), at_once={TRIALS}, watcher=Shown())
"""


def test_four_trials_at_once_with_data_tasks_finish_on_two_cores(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(tmp_path)],
        env=environment(PYTHONPATH=str(ROOT / "platform")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()
        output, _ = process.communicate(timeout=60)
        pytest.fail(
            f"the sweep hung for {SECONDS} s: trials hold all cores and wait for Ray Data tasks, "
            f"which wait for a core\n{output}"
        )
    assert process.returncode == 0, output
    ended = sorted(line.split()[1:] for line in output.splitlines() if line.startswith("ENDED"))
    assert ended == [[f"trial-{i}", "12"] for i in range(TRIALS)]
