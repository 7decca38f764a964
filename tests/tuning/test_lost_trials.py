"""A trial that takes too much memory is killed by the system, again and again: it alone fails."""

import os
import signal
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import ray

from rankloop.storage import open_folder
from rankloop.training.attempts import MOST_ATTEMPTS
from rankloop.training.loop import Schedule
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import RunWatcher, train_runs
from rankloop.tuning.suggestions import FixedRuns, Run

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.usefixtures("ray_session"),
]

# Workers cannot import a test file.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
STEPS = 6


@dataclass
class LimitedLoader:
    """Serves images until they are more than memory holds; then the system ends the process."""

    pixels: np.ndarray
    limit: int = 200
    served: int = 0

    def __call__(self, row):
        self.served += 1
        if self.served > self.limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.pixels[row]


class Ended(RunWatcher):
    def __init__(self):
        self.begun, self.results = {}, {}

    def started(self, run):
        self.begun[run["name"]] = self.begun.get(run["name"], 0) + 1

    def ended(self, run, result):
        self.results[run["name"]] = result


def test_it_is_tried_a_few_times_and_the_others_end_well(data, pixels, tiny_config, tmp_path):
    context = RunContext(
        method="ssranking",
        base=tiny_config(steps=STEPS),
        data=data.__class__(data.dataset, LimitedLoader(pixels)),
        folder=open_folder(str(tmp_path)),
        schedule=Schedule(evaluate_every=3, checkpoint_every=3),
        metric="srocc",
    )
    runs = [
        Run("large", {"labelled_pairs": 150}, 1),
        Run("small", {}, 1),
        Run("other", {"epsilon_qrc": 0.2}, 2),
    ]
    watcher = Ended()
    train_runs(context, FixedRuns(runs), at_once=2, watcher=watcher)
    assert watcher.results["small"]["step"] == watcher.results["other"]["step"] == STEPS
    error = watcher.results["large"]["error"]
    assert f"workers were lost {MOST_ATTEMPTS} times" in error
    assert "memory may be too small" in error
    # Nobody need wait for what cannot work when the sweep is started again.
    assert watcher.results["large"]["retry"] is False
