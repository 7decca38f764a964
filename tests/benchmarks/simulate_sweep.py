"""A real sweep at 1/1000 of the size of docs/scaling.md, beside what jobs/estimate.py says of it.

    python tests/benchmarks/simulate_sweep.py [--photos folder:PHOTOS] [--trials 8] [--steps 120]

First the rates of this machine's cores are measured, as bench_rates.py does, and what a trial takes
besides its steps, from a sweep of trials of one step. From these the estimate is made. Then the
sweep is run, each trial on a core in place of a GPU, photographs being decoded from a pack at every
use, as those that do not fit in memory are. Rates are per second of a core's time, as are the
trials' seconds of cores: what else the machine has to do makes only the clock's seconds longer.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / name) for name in ("platform", "")]

import psutil
from rates import core_rates, opened, packed_photos, said

from rankloop.cluster import connected
from rankloop.datasets.dataset import split_indices
from rankloop.methods.method import TrainingData
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.storage import open_folder
from rankloop.training.loop import Schedule
from rankloop.tuning.estimate import SweepSize, estimate, estimate_table
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import RunWatcher, train_runs
from rankloop.tuning.study import open_study
from rankloop.tuning.suggestions import StudyRuns
from search_spaces import qrc

GOAL = 0.2
PHOTOS, EVALUATIONS = 1000, 3
CONFIG = SSRankingConfig(
    backbone="shallow", image_size=72, input_size=64, labelled_pairs=16, unlabelled_sets=16
)


@dataclass
class Watched(RunWatcher):
    """When trials ended, and what their processes have read from disk and used of cores."""

    start: float = field(default_factory=time.monotonic)
    ends: list[float] = field(default_factory=list)
    before: dict[int, tuple[float, float]] = field(default_factory=dict)
    after: dict[int, tuple[float, float]] = field(default_factory=dict)

    def started(self, run: dict[str, Any]) -> None:
        self._look()

    def reported(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        self._look()

    def ended(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        self._look()
        assert not result.get("error"), result["error"]
        self.ends.append(time.monotonic() - self.start)

    def _look(self) -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::"):
                    found = process.io_counters().read_chars, sum(process.cpu_times()[:2])
                    self.before.setdefault(process.pid, found)
                    self.after[process.pid] = found
            except psutil.Error:
                continue

    def bytes_read(self) -> float:
        return sum(self.after[pid][0] - self.before[pid][0] for pid in self.after)

    def core_seconds(self) -> float:
        return sum(self.after[pid][1] - self.before[pid][1] for pid in self.after)

    def seconds_per_round(self, at_once: int) -> float:
        """Of trials that ran where another had run before."""
        return at_once * (self.ends[-1] - self.ends[at_once - 1]) / (len(self.ends) - at_once)


def sweep(data: TrainingData, trials: int, steps: int, at_once: int) -> tuple[float, Watched]:
    """Run a sweep of trials of which none is stopped early; return its seconds."""
    config = CONFIG.model_copy(update={"steps": steps})
    every = max(1, steps // EVALUATIONS)
    watched = Watched()
    with tempfile.TemporaryDirectory() as name:
        folder = open_folder(name)
        context = RunContext(
            method=SSRANKING.name,
            base=config,
            data=data,
            folder=folder,
            schedule=Schedule(every, every),
            metric="srocc",
        )
        runs = StudyRuns(
            open_study(folder / "study", dict(qrc.PAPER)),
            qrc.space,
            trials=trials,
            steps=steps,
            seed=0,
        )
        start = time.monotonic()
        train_runs(context, runs, at_once=at_once, watcher=watched)
        return time.monotonic() - start, watched


def size_of(data: TrainingData, rates: dict[str, float], trials: int, steps: int) -> SweepSize:
    """Return the simulated sweep as the estimate takes it."""
    cores = os.cpu_count() or 1
    return SweepSize(
        photos=len(data.dataset.images),
        trials=trials,
        steps=steps,
        share_trained=1.0,
        evaluations=min(steps, EVALUATIONS),
        validation_photos=len(split_indices(data.dataset, "validation")),
        photos_per_step=2 * (CONFIG.labelled_pairs + CONFIG.unlabelled_sets),
        sets_per_step=CONFIG.unlabelled_sets,
        images_per_step=2 * CONFIG.labelled_pairs + 4 * CONFIG.unlabelled_sets,
        gpus=cores,
        on_cpu=True,
        cores_per_gpu=1.0,
        data_workers=0,
        head_cores=cores,
        on_disk=True,
        dollars_per_node_hour=0.0,
        **rates,
    )


def overhead(data: TrainingData, rates: dict[str, float], cores: int) -> tuple[float, float, float]:
    """Seconds of a trial besides steps and validation, on the clock and of a core; of starting."""
    trials = 3 * cores
    seconds, watched = sweep(data, trials, 1, cores)
    found = estimate(size_of(data, {**rates, "trial_seconds": 0.0}, trials, 1))
    each, work = watched.seconds_per_round(cores), 3600 * found.trial_hours
    of_core = watched.core_seconds() / trials - work
    return max(0.0, each - work), max(0.0, of_core), max(0.0, seconds - 3 * each)


def simulate(options: argparse.Namespace, folder: Path) -> None:
    """Estimate, run, and print one table."""
    cores = os.cpu_count() or 1
    with said("packing"):
        size_of_file = packed_photos(folder, options.photos, PHOTOS)
    start = time.monotonic()
    with said("checking"):
        data = opened(folder, CONFIG)
    checked = time.monotonic() - start
    with said("measuring rates"):
        rates = {"bytes_per_photo": size_of_file, **core_rates(CONFIG, data)}
    with connected(cores):
        with said("measuring what a trial takes besides"):
            rates["trial_seconds"], besides, starting = overhead(data, rates, cores)
        size = size_of(data, rates, options.trials, options.steps)
        found = estimate(size)
        print(estimate_table(size, found))
        with said("sweeping"):
            seconds, watched = sweep(data, options.trials, options.steps, cores)
    check = 3600 * found.check_hours
    drawn = found.bytes_read - size.photos * size.bytes_per_photo
    trial = 3600 * found.trial_hours
    of_cores = size.trials * (trial - size.trial_seconds + besides)
    rows = {
        "checking, s": (check, checked),
        "a trial after another, s": (trial, watched.seconds_per_round(cores)),
        "the sweep, s": (3600 * found.hours - check + starting, seconds),
        "checking and sweep, s": (3600 * found.hours + starting, checked + seconds),
        "trials, seconds of cores": (of_cores, watched.core_seconds()),
        "bytes read by trials, GB": (drawn / 1e9, watched.bytes_read() / 1e9),
    }
    print(f"{'':28} {'estimate':>9} {'measured':>9} {'off by':>8}   goal")
    for what, (said_before, measured) in rows.items():
        off = measured / said_before - 1
        met = "met" if abs(off) < GOAL else "MISSED"
        print(f"{what:28} {said_before:>9.1f} {measured:>9.1f} {off:>+8.1%}   < {GOAL:.0%} {met}")
    print(
        f"of a trial after another {size.trial_seconds:.1f} s, and of the sweep {starting:.1f} s, "
        "were measured by sweeps of one step"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", default="samples", help="samples or folder:PHOTOS")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        simulate(options, Path(name))


if __name__ == "__main__":
    main()
