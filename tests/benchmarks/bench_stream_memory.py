"""Memory while ten thousand ladders are streamed: it must not grow after the first two thousand.

    python tests/benchmarks/bench_stream_memory.py PHOTOS [--ladders 10000] [--data-workers 2]

Resident memory of this process and its children, Ray's among them, without what they share.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np
import psutil

from rankloop.cluster import connected
from rankloop.datasets.loaders import file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.methods.method import Batch
from rankloop.methods.ranked_sets import ranked_set_stream
from rankloop.ranking.recipes import find_recipe
from rankloop.streams.batches import plain_batches
from rankloop.streams.ray_batches import ray_batches

ROWS = 20
SIZE = 96


def megabytes() -> float:
    """Resident memory of this process and its children, less what they share, in MB."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    total = 0
    for process in processes:
        try:
            memory = process.memory_info()
            total += memory.rss - getattr(memory, "shared", 0)
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def report(name: str, batches: Iterator[Batch], ladders: int) -> None:
    """Print memory along a stream."""
    seen, row = 0, []
    marks = [ladders // 10, ladders // 5, ladders // 2, ladders]
    for batch in batches:
        seen += len(batch["sets"]["images"])
        if seen in marks:
            row.append(megabytes())
    growth = row[3] - row[1]
    print(f"{name:24}" + "".join(f"{value:10.0f}" for value in row) + f"{growth:+10.0f}")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos")
    parser.add_argument("--ladders", type=int, default=10_000)
    parser.add_argument("--data-workers", type=int, default=2)
    parser.add_argument("--ranked-set", default="impulse_noise")
    options = parser.parse_args()
    dataset = open_dataset([f"folder:{options.photos}"], seed=0)
    rows = np.arange(len(dataset.images))
    recipe = find_recipe(options.ranked_set)
    stream = ranked_set_stream(file_loader(dataset, None), rows, recipe, SIZE, ROWS, seed=0)
    steps = options.ladders // ROWS
    streams = {"sets": stream}
    marks = [options.ladders // 10, options.ladders // 5, options.ladders // 2, options.ladders]
    print(f"{'MB after ladders':24}" + "".join(f"{mark:10}" for mark in marks) + "    growth")
    report("plain", plain_batches(streams, 0, steps), options.ladders)
    with connected():
        batches = ray_batches(streams, 0, steps, data_workers=options.data_workers)
        report("Ray Data", batches, options.ladders)


if __name__ == "__main__":
    main()
