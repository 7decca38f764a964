"""Quadruplets per second of our streams beside a plain torch DataLoader, and who waits for whom.

    python tests/benchmarks/bench_streams.py [--workers 2] [--repeats 5]

All make the same rows of 60 quadruplets from images in memory and take turns; medians of paired
ratios are compared. A way is timed once it runs: starting processes is left out, for all alike.
Each of ours is compared with a DataLoader on as many cores: plain_batches makes rows on one.
Waiting is the share of a training run's time, from the training loop itself, that goes into
fetching the next batch.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import torch
from torch.utils.data import DataLoader, Dataset

from rankloop.cluster import connected
from rankloop.datasets.options import DataOptions
from rankloop.methods.method import Batch, ExampleStream, OpenStreams
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.streams.ray_batches import ray_batches
from rankloop.streams.shared_images import share_images
from rankloop.training.experiment import Prepared, prepare_data
from rankloop.training.loop import Schedule, train

SPEED_GOAL = 1.0
WAITING_GOAL = 0.05
# Image size to batches that are timed.
BATCHES = {72: 640, 256: 192}
# Backbone, image size, input size, rows of each stream per step, steps that are timed.
RUNS = (("shallow", 72, 64, 16, 60), ("resnet18", 72, 64, 16, 10), ("resnet18", 256, 224, 2, 5))
WARM_UP = 4
# Until all makers of rows run.
STREAM_WARM_UP = 64


class Rows(Dataset[Any]):
    """The rows of a stream, numbered through."""

    def __init__(self, stream: ExampleStream, batches: int) -> None:
        self.stream, self.batches = stream, batches

    def __len__(self) -> int:
        return self.batches * self.stream.rows_per_step

    def __getitem__(self, index: int) -> Any:
        return self.stream.row(*divmod(index, self.stream.rows_per_step))


def data_loader(stream: ExampleStream, batches: int, workers: int) -> Iterator[Any]:
    """What one would write without rankloop."""
    # Ray's threads run in this process: forking it would not be safe.
    return iter(
        DataLoader(
            Rows(stream, batches),
            batch_size=stream.rows_per_step,
            num_workers=workers,
            multiprocessing_context="spawn",
        )
    )


def ours(open_streams: OpenStreams, stream: ExampleStream, batches: int) -> Iterator[Any]:
    """A stream of rankloop alone."""
    return (batch["rows"] for batch in open_streams({"rows": stream}, 0, batches, 0, 1))


def rows_per_second(
    open_way: Callable[[ExampleStream, int], Iterator[Any]], stream: ExampleStream, batches: int
) -> float:
    """Rows per second from when all makers run to the end, when nothing is left made ahead."""
    iterator = open_way(stream, batches + STREAM_WARM_UP)
    for batch in itertools.islice(iterator, STREAM_WARM_UP):
        assert len(batch["images"]) == stream.rows_per_step
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches * stream.rows_per_step / (time.perf_counter() - start)


def speeds(prepared: dict[int, Prepared], options: argparse.Namespace) -> None:
    """Print the first half of the table."""
    workers = options.workers
    ways: dict[str, tuple[Callable[[ExampleStream, int], Iterator[Any]], bool]] = {
        f"DataLoader, {workers} workers": (partial(data_loader, workers=workers), False),
        "DataLoader, 1 worker": (partial(data_loader, workers=1), False),
        f"ray_batches, {workers} workers": (
            partial(ours, partial(ray_batches, data_workers=workers)),
            True,
        ),
        "plain_batches, 1 thread": (partial(ours, plain_batches), False),
    }
    print(f"{'quadruplets/s':28} {'pixels':>7} {'each':>9} {'DataLoader':>11} {'ratio':>7}   goal")
    for size, batches in BATCHES.items():
        config = SSRankingConfig(image_size=size, input_size=min(size, 224))
        data, array = prepared[size].data, prepared[size].array
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            for way, (open_way, shared) in ways.items():
                source = share_images(data, array) if shared else data
                stream = SSRANKING.streams(config, source, 0)["unlabelled"]
                found[way].append(rows_per_second(open_way, stream, batches))
        many, one, ray_way, plain_way = ways
        for way, beside in ((ray_way, many), (plain_way, one), (plain_way, many)):
            ratio = statistics.median(a / b for a, b in zip(found[way], found[beside], strict=True))
            name = way if beside != many or way == ray_way else f"{way}, against {workers}"
            print(
                f"{name:28} {size:>7} {statistics.median(found[way]):>9.0f} "
                f"{statistics.median(found[beside]):>11.0f} {ratio:>7.2f}   >= {SPEED_GOAL}",
                flush=True,
            )


def waiting(open_streams: OpenStreams, config: SSRankingConfig, prepared: Prepared) -> float:
    """Share of training time that goes into fetching the next batch, once under way."""
    waits: list[float] = []
    started = 0.0

    def watched(*arguments: Any) -> Iterator[Batch]:
        nonlocal started
        batches = open_streams(*arguments)
        for step in range(config.steps):
            before = time.perf_counter()
            batch = next(batches)
            waits.append(time.perf_counter() - before)
            if step == WARM_UP - 1:
                started = time.perf_counter()
            elif step == config.steps - 1:
                waits.append(time.perf_counter() - started)
            yield batch

    with tempfile.TemporaryDirectory() as name:
        train(
            SSRANKING,
            config,
            share_images(prepared.data, prepared.array),
            open_folder(name),
            seed=0,
            schedule=Schedule(config.steps, config.steps),
            open_streams=watched,
        )
    return sum(waits[WARM_UP:-1]) / waits[-1]


def waits(prepared: dict[int, Prepared], options: argparse.Namespace) -> None:
    """Print the second half of the table."""
    cores = torch.get_num_threads()
    # As jobs/train.py has it: one data worker, and the other cores for the network.
    ways: dict[str, tuple[OpenStreams, int]] = {
        "plain_batches": (plain_batches, cores),
        "ray_batches, 1 worker": (partial(ray_batches, data_workers=1), max(1, cores - 1)),
    }
    print(f"\n{'waiting for data':28} {'backbone':>9} {'pixels':>7} {'share':>9}   goal")
    for backbone, image_size, input_size, rows, steps in RUNS:
        config = SSRankingConfig(
            backbone=backbone,
            image_size=image_size,
            input_size=input_size,
            labelled_pairs=rows,
            unlabelled_sets=rows,
            steps=WARM_UP + steps,
        )
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            for way, (open_streams, threads) in ways.items():
                torch.set_num_threads(threads)
                found[way].append(waiting(open_streams, config, prepared[image_size]))
        for way, shares in found.items():
            print(
                f"{way:28} {backbone:>9} {input_size:>7} {statistics.median(shares):>9.1%}"
                f"   < {WAITING_GOAL:.0%}",
                flush=True,
            )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = DataOptions(crops_per_photo=10)
    prepared = {
        size: prepare_data(data, SSRANKING, SSRankingConfig(image_size=size, input_size=64))
        for size in BATCHES
    }
    with connected():
        speeds(prepared, options)
        waits(prepared, options)


if __name__ == "__main__":
    main()
