"""Training on 2 workers instead of 1, which share the rows of a step, beside plain torchrun.

    python tests/benchmarks/bench_scaling.py [--steps 40] [--repeats 3]

All train the same configuration on the same rows, one torch thread per worker: ours by Ray Train on
a Ray that runs, the other the plain loop under `torch.distributed.run`. All take turns. The loop
tells every five seconds how many steps are done: speed is that between the first and the last
telling, so that starting is left out. It has a column of its own: seconds until the first step
begins. Efficiency is the speed of 2 workers over twice that of 1; medians of ratios are compared.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np
import pyarrow.parquet as pq
import torch

from rankloop.cluster import connected
from rankloop.datasets.dataset import Dataset
from rankloop.datasets.loaders import array_loader
from rankloop.datasets.options import DataOptions
from rankloop.methods.method import TrainingData
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.progress import paced
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.streams.shared_images import share_images
from rankloop.training.distributed import train_distributed
from rankloop.training.experiment import Prepared, prepare_data
from rankloop.training.loop import Schedule, Worker, train

GOAL = 0.95
# 12 images a step.
CONFIG = SSRankingConfig(
    backbone="resnet18", image_size=112, input_size=112, labelled_pairs=2, unlabelled_sets=2
)


@dataclass
class Tellings:
    """How many steps were done when."""

    start: float = field(default_factory=time.monotonic)
    told: list[tuple[int, float]] = field(default_factory=list)

    def __call__(self, done: int) -> None:
        self.told.append((done, time.monotonic()))

    def found(self) -> tuple[float, float]:
        """Steps per second, and seconds until the first step began."""
        (first, early), (last, late) = self.told[0], self.told[-1]
        speed = (last - first) / (late - early)
        return speed, early - first / speed - self.start


def ours(config: SSRankingConfig, prepared: Prepared, workers: int) -> tuple[float, float]:
    """Train by Ray Train, on a Ray of as many cores, so that each worker has one thread."""
    with tempfile.TemporaryDirectory() as name, connected(workers):
        tellings = Tellings()
        train_distributed(
            SSRANKING,
            config,
            share_images(prepared.data, prepared.array),
            open_folder(name),
            seed=0,
            schedule=Schedule(config.steps, config.steps),
            workers=workers,
            data_workers=0,
            use_gpu=False,
            on_step=tellings,
        )
    return tellings.found()


def torchrun(config: SSRankingConfig, data: Path, workers: int) -> tuple[float, float]:
    """Train by torchrun, in processes that run this file."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={workers}", __file__, "--data", str(data)]
    tellings = Tellings()
    with subprocess.Popen(
        [*command, "--steps", str(config.steps)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tellings(int(line))
    assert not process.returncode
    return tellings.found()


def worker(config: SSRankingConfig, data: Path) -> None:
    """Be one of torchrun's processes."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank, workers = torch.distributed.get_rank(), torch.distributed.get_world_size()
    images, pairs = (pq.read_table(data / name) for name in ("images", "pairs"))
    dataset = Dataset("made before", images, pairs, False, "blur", "synthetic")
    train(
        SSRANKING,
        config,
        TrainingData(dataset, array_loader(np.load(data / "pixels.npy"))),
        open_folder(str(data / f"run-{workers}-{os.environ['TORCHELASTIC_RUN_ID']}")),
        seed=0,
        schedule=Schedule(config.steps, config.steps),
        open_streams=plain_batches,
        worker=Worker(torch.device("cpu"), rank, workers),
        on_step=paced(lambda done: print(done, flush=True)),
    )
    torch.distributed.destroy_process_group()


def compare(config: SSRankingConfig, prepared: Prepared, data: Path, repeats: int) -> None:
    """Print the table."""
    ways: dict[str, Callable[[int], tuple[float, float]]] = {
        "rankloop": partial(ours, config, prepared),
        "torchrun": partial(torchrun, config, data),
    }
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(repeats):
        for workers in (1, 2):
            for way, run in ways.items():
                found.setdefault((way, workers), []).append(run(workers))
                print(
                    f"{way} on {workers}: %.3f steps/s, start %.1f s" % found[way, workers][-1],
                    f"load {os.getloadavg()[0]:.1f}",
                    file=sys.stderr,
                    flush=True,
                )
    efficiency = {
        way: [
            two / (2 * one) for (one, _), (two, _) in zip(found[way, 1], found[way, 2], strict=True)
        ]
        for way in ways
    }
    print(f"{config.backbone}, {config.input_size} pixels, {config.steps} steps")
    print(f"{'':10} {'workers':>7} {'steps/s':>8} {'start-up s':>11} {'efficiency':>11}")
    for (way, workers), values in found.items():
        speed, start = (statistics.median(column) for column in zip(*values, strict=True))
        shown = f"{statistics.median(efficiency[way]):.3f}" if workers == 2 else ""
        print(f"{way:10} {workers:>7} {speed:>8.2f} {start:>11.1f} {shown:>11}")
    ratios = [a / b for a, b in zip(efficiency["rankloop"], efficiency["torchrun"], strict=True)]
    print(f"ratio of the efficiencies: {statistics.median(ratios):.3f}   goal >= {GOAL}")


def main() -> None:
    """Compare, or be one of torchrun's processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, help="given to torchrun's processes only")
    options = parser.parse_args()
    config = CONFIG.model_copy(update={"steps": options.steps})
    if options.data:
        worker(config, options.data)
        return
    torch.set_num_threads(1)
    # Ray gives its workers less of a busy machine than others get.
    os.environ.update(RAY_worker_niceness="0")
    prepared = prepare_data(DataOptions(crops_per_photo=10), SSRANKING, config)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        pq.write_table(prepared.data.dataset.images, data / "images")
        pq.write_table(prepared.data.dataset.pairs, data / "pairs")
        np.save(data / "pixels.npy", prepared.array)
        compare(config, prepared, data, options.repeats)


if __name__ == "__main__":
    main()
