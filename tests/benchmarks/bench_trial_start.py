"""Seconds from a trial's start to its first step, by how trials are run and where images are.

    python tests/benchmarks/bench_trial_start.py [--trials 5] [--repeats 3]

Trials run one after the other on Ray, as those of a sweep do. A trial starts when the one before it
has ended; its first step is done when its report of it is there, so that validating a few images is
counted, everywhere alike. The first trial of a sweep, in a new process everywhere, has a column of
its own. "New processes" is Ray Tune without reused actors; "images anew" is a loader that decodes
all images when a trial asks for the first. Then, in this process, seconds of what a trial computes
before its first step, by the number of photographs with a score: of the first trial of a process,
and of the next, which finds what the first has kept.
"""

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np
import pyarrow as pa
import ray
import torch
from ray import tune

from rankloop.cluster import connected
from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, Dataset
from rankloop.datasets.loaders import file_loader
from rankloop.datasets.options import DataOptions
from rankloop.methods.method import Method, TrainingData
from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_config import QCNConfig
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.storage import open_folder
from rankloop.streams.shared_images import share_images
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import Prepared, prepare_data
from rankloop.training.loop import Schedule
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import RunWatcher, train_runs
from rankloop.tuning.suggestions import FixedRuns, Run

SSRANKING_CONFIG = SSRankingConfig(
    backbone="shallow", image_size=72, input_size=64, labelled_pairs=4, unlabelled_sets=4, steps=2
)
QCN_CONFIG = QCNConfig(
    backbone="resnet18", weights="none", short_side=64, images=4, lists=1, pivots=20, steps=2
)
PHOTOGRAPHS = (1_000, 100_000, 1_000_000)


@dataclass
class Starts(RunWatcher):
    """Seconds until the first report of each trial."""

    start: float = field(default_factory=time.monotonic)
    seconds: list[float] = field(default_factory=list)

    def reported(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        if result["step"] == 1:
            self.seconds.append(time.monotonic() - self.start)

    def ended(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        assert not result.get("error"), result["error"]
        self.start = time.monotonic()


@dataclass
class ImagesAnew:
    """A loader that decodes all images when it is asked for the first."""

    dataset: Dataset
    size: int
    images: np.ndarray | None = None

    def __call__(self, row: int) -> np.ndarray:
        if self.images is None:
            load = file_loader(self.dataset, self.size)
            self.images = np.stack([load(i) for i in range(len(self.dataset.images))])
        image: np.ndarray = self.images[row]
        return image


@contextlib.contextmanager
def new_processes() -> Iterator[None]:
    """Have Ray Tune start a process for every trial."""
    as_it_is = tune.TuneConfig
    tune.TuneConfig = lambda **given: as_it_is(**{**given, "reuse_actors": False})
    try:
        yield
    finally:
        tune.TuneConfig = as_it_is


def starts(method: Method, config: Any, data: TrainingData, trials: int) -> list[float]:
    """Run trials one after the other and return the seconds to the first step of each."""
    watcher = Starts()
    with tempfile.TemporaryDirectory() as name:
        context = RunContext(
            method=method.name,
            base=config,
            data=data,
            folder=open_folder(name),
            schedule=Schedule(evaluate_every=1, checkpoint_every=2),
            metric=selection_metric(method, data.dataset),
        )
        runs = [Run(f"trial-{number}", {}, 0) for number in range(trials)]
        train_runs(context, FixedRuns(runs), at_once=1, watcher=watcher)
    return watcher.seconds


def on_ray(ssranking: Prepared, qcn: Prepared, trials: int, repeats: int) -> None:
    """Print the first half of the table."""
    shared = share_images(ssranking.data, ssranking.array)
    anew = replace(
        ssranking.data, load=ImagesAnew(ssranking.data.dataset, SSRANKING_CONFIG.image_size)
    )
    same = contextlib.nullcontext
    ways: dict[str, tuple[Callable[[], Any], Method, Any, TrainingData]] = {
        "ssranking, as it is": (same, SSRANKING, SSRANKING_CONFIG, shared),
        "ssranking, images anew": (same, SSRANKING, SSRANKING_CONFIG, anew),
        "ssranking, new processes": (new_processes, SSRANKING, SSRANKING_CONFIG, shared),
        "qcn, as it is": (same, QCN, QCN_CONFIG, qcn.data),
        "qcn, new processes": (new_processes, QCN, QCN_CONFIG, qcn.data),
    }
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, (run_so, *what) in ways.items():
            with run_so():
                found[way].append(starts(*what, trials))
    print(f"{'seconds to the first step':28} {'first trial':>12} {'the others':>12}")
    for way, each in found.items():
        first = statistics.median(seconds[0] for seconds in each)
        others = statistics.median(value for seconds in each for value in seconds[1:])
        print(f"{way:28} {first:>12.2f} {others:>12.2f}", flush=True)


def made_up(photographs: int, seed: int) -> TrainingData:
    """Return so many rows with scores, of which a fifth are to validate on, and one image."""
    scores = np.random.default_rng(seed).normal(50.0, 20.0, photographs).round(3)
    names = [f"{number}" for number in range(photographs)]
    columns: dict[str, Any] = {name: pa.nulls(photographs) for name in IMAGE_SCHEMA.names}
    columns |= {"image": names, "uri": names, "source": names, "score": scores}
    columns["split"] = np.where(np.arange(photographs) % 5, "train", "validation")
    images = pa.table(columns).cast(IMAGE_SCHEMA)
    pairs = pa.table({"better": ["1"], "worse": ["2"], "split": ["train"]}, schema=PAIR_SCHEMA)
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    return TrainingData(Dataset("made up", images, pairs, True, "score", "none"), lambda row: image)


def parts(method: Method, config: Any, data: TrainingData) -> dict[str, float]:
    """Seconds of what a trial computes before its first step, and for scoring."""
    found: dict[str, float] = {}
    start = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        now = time.perf_counter()
        found[name] = now - start
        start = now

    model = method.build(config, 0)
    lap("build")
    method.initialise(model, config, data)
    lap("initialise")
    method.optimizer(model, config)
    lap("optimizer")
    method.streams(config, data, 0)
    lap("streams")
    method.prepare_scoring(model, config, data, 0)
    lap("prepare_scoring")
    return found


def in_this_process(repeats: int) -> None:
    """Print the second half of the table."""
    names = ("build", "initialise", "optimizer", "streams", "prepare_scoring")
    print(f"\n{'seconds':26} {'photographs':>11}", *(f"{name:>15}" for name in names))
    # The paper's number of pivots; more than the few photographs above have scores.
    qcn = QCN_CONFIG.model_copy(update={"pivots": QCNConfig().pivots})
    for method, config in ((SSRANKING, SSRANKING_CONFIG), (QCN, qcn)):
        parts(method, config, made_up(1000, repeats))
        for photographs in PHOTOGRAPHS:
            found: dict[str, list[dict[str, float]]] = {"first trial": [], "next trial": []}
            for seed in range(repeats):
                data = made_up(photographs, seed)
                for trial in found:
                    found[trial].append(parts(method, config, data))
            for trial, each in found.items():
                medians = [statistics.median(one[name] for one in each) for name in names]
                shown = (f"{seconds:>15.3f}" for seconds in medians)
                print(f"{method.name}, {trial}".ljust(26), f"{photographs:>11}", *shown, flush=True)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = DataOptions(crops_per_photo=10)
    with contextlib.redirect_stdout(io.StringIO()):
        ssranking = prepare_data(data, SSRANKING, SSRANKING_CONFIG)
        qcn = prepare_data(data, QCN, QCN_CONFIG)
    print(f"load {os.getloadavg()[0]:.1f}")
    # Workers cannot import a script.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with connected():
        on_ray(ssranking, qcn, options.trials, options.repeats)
    in_this_process(options.repeats)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
