"""Trials per minute of a sweep on Ray beside the same training loop called without Ray.

    python tests/benchmarks/bench_sweep.py [--trials 4] [--steps 300] [--repeats 5]

Trials have the size of `make demo`'s and the same seeds everywhere, and none is stopped early. The
plain loop trains them one after the other in this process, on one torch thread, as each of Ray's
workers does. All take turns; medians of paired ratios are compared.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import torch

from rankloop.cluster import connected
from rankloop.datasets.options import DataOptions
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.streams.shared_images import share_images
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import Prepared, prepare_data
from rankloop.training.loop import Schedule, train
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import RunWatcher, train_runs
from rankloop.tuning.suggestions import FixedRuns, Run

GOAL = 0.15
# As in the Makefile.
DEMO = SSRankingConfig(
    backbone="shallow", image_size=72, input_size=64, labelled_pairs=16, unlabelled_sets=16
)
EVALUATIONS = 9


def plain_loop(config: SSRankingConfig, prepared: Prepared, trials: int) -> dict[str, float]:
    """Train one trial after the other and return the seconds that took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        for seed in range(trials):
            train(
                SSRANKING,
                config,
                prepared.data,
                open_folder(name) / str(seed),
                seed=seed,
                schedule=schedule(config),
                open_streams=plain_batches,
            )
    return {"": time.perf_counter() - start}


def sweep(
    config: SSRankingConfig, prepared: Prepared, trials: int, at_once: int
) -> dict[str, float]:
    """Train the trials on Ray and return the seconds without and with starting and ending Ray."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        with connected():
            context = RunContext(
                method=SSRANKING.name,
                base=config,
                data=share_images(prepared.data, prepared.array),
                folder=open_folder(name),
                schedule=schedule(config),
                metric=selection_metric(SSRANKING, prepared.data.dataset),
            )
            runs = [Run(f"seed-{seed}", {}, seed) for seed in range(trials)]
            started = time.perf_counter()
            train_runs(context, FixedRuns(runs), at_once=at_once, watcher=RunWatcher())
            trained = time.perf_counter() - started
        return {", Ray running": trained, ", Ray started": time.perf_counter() - start}


def schedule(config: SSRankingConfig) -> Schedule:
    """As jobs/tune_qrc.py has it."""
    every = max(1, config.steps // EVALUATIONS)
    return Schedule(evaluate_every=every, checkpoint_every=every)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = DEMO.model_copy(update={"steps": options.steps})
    with contextlib.redirect_stdout(io.StringIO()):
        prepared = prepare_data(DataOptions(), SSRANKING, config)
    arguments = (config, prepared, options.trials)
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "plain loop": lambda: plain_loop(*arguments),
        "sweep, 1 at once": lambda: sweep(*arguments, at_once=1),
        "sweep, 2 at once": lambda: sweep(*arguments, at_once=2),
    }
    found: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        for way, work in ways.items():
            for what, seconds in work().items():
                found.setdefault(way + what, []).append(seconds)
    print(f"{options.trials} trials of {config.steps} steps")
    print(f"{'':32} {'trials/min':>11} {'overhead':>9}   goal")
    for way, seconds in found.items():
        pairs = zip(seconds, found["plain loop"], strict=True)
        overhead = statistics.median(ours / plain for ours, plain in pairs) - 1
        speed = 60 * options.trials / statistics.median(seconds)
        print(f"{way:32} {speed:>11.2f} {overhead:>9.1%}   < {GOAL:.0%}")


if __name__ == "__main__":
    main()
