"""What one core does per second while all cores are as busy, for bench_rates and simulate_sweep."""

import itertools
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rankloop import memory
from rankloop.datasets.dataset import split_indices
from rankloop.datasets.loaders import array_loader, file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.options import SourceOptions
from rankloop.datasets.pack import write_pack
from rankloop.datasets.part import ImageRow, Part
from rankloop.datasets.prepare import prepare
from rankloop.distortions import DISTORTIONS, RANKIQA_TID2013
from rankloop.images import decode, encode, read_bytes
from rankloop.methods.method import Batch, TrainingData
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.randomness import rng
from rankloop.ranking.ladders import ladder
from rankloop.ranking.nested_crops import nested_crops
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches

SECONDS = 3.0
KEPT = 64

Measure = Callable[[], int]


def packed_photos(folder: Path, source: str, count: int) -> float:
    """Pack so many JPEG crops of a source's photographs, 320 pixels or more, cut one from each in
    turn, and return the mean size of their files."""
    uris = [row.uri for row in SourceOptions(data=(source,), crops_per_photo=0).read().images]
    rows, sizes = [], []
    for number in range(count):
        image = decode(read_bytes(uris[number % len(uris)]))
        generator = rng(0, "photo", number)
        side = min(*image.shape[:2], 320)
        top, left = (int(generator.integers(n - side + 1)) for n in image.shape[:2])
        file = folder / f"{number:06d}.jpg"
        file.write_bytes(encode(image[top : top + side, left : left + side], "jpeg"))
        rows.append(ImageRow(file.stem, str(file), source=f"{number % len(uris)}"))
        sizes.append(file.stat().st_size)
    part = Part(rows)
    write_pack(part, "photos", open_folder(str(folder / "pack")), threads=4)
    return statistics.mean(sizes)


def opened(folder: Path, config: SSRankingConfig) -> TrainingData:
    """Open such a pack as data that do not fit in memory: each use decodes the file again."""
    size = config.image_size
    dataset = open_dataset([f"pack:{folder / 'pack'}"], seed=0)
    dataset, _ = prepare(dataset, size, max_bytes=0, threads=os.cpu_count() or 1)
    return TrainingData(dataset, file_loader(dataset, size))


def in_memory(data: TrainingData, count: int) -> TrainingData:
    """Return the data with the pixels of a few images in place of all."""
    rows = split_indices(data.dataset, "train")
    few = np.stack([data.load(int(row)) for row in rows[:count]])
    everywhere = np.arange(len(data.dataset.images)) % len(few)
    return replace(data, load=lambda row: array_loader(few)(int(everywhere[row])))


def measures(config: SSRankingConfig, data: TrainingData) -> Iterator[tuple[str, Measure]]:
    """Yield what to measure: each call does some work and says how much."""
    rows = split_indices(data.dataset, "train")
    draws = itertools.count()

    def load() -> int:
        data.load(int(rows[rng(0, "draw", next(draws)).integers(len(rows))]))
        return 1

    yield "decoded_per_second", load
    kept = in_memory(data, KEPT)
    streams = SSRANKING.streams(config, kept, 0)
    sets = streams["unlabelled"]

    def make() -> int:
        sets.row(*divmod(next(draws), sets.rows_per_step))
        return 1

    yield "sets_per_second", make
    model = SSRANKING.build(config, 0)
    optimizer = SSRANKING.optimizer(model, config)
    batch: Batch = next(plain_batches(streams, 0, 1))

    def step() -> int:
        loss = torch.stack(list(SSRANKING.loss(model, batch, config).values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return sum(column["images"].flatten(0, 1).shape[0] for column in batch.values())

    yield "trained_per_second", step
    images = batch["labelled"]["images"].flatten(0, 1)[:32].permute(0, 3, 1, 2)

    def score() -> int:
        model.eval()
        SSRANKING.predict(model, images)
        model.train()
        return len(images)

    yield "scored_per_second", score


def more_measures(config: SSRankingConfig, data: TrainingData) -> Iterator[tuple[str, Measure]]:
    """Yield what the sets of the other methods take."""
    image = data.load(0)
    draws = itertools.count()

    def crops() -> int:
        nested_crops(image, rng(0, next(draws)), config.input_size)
        return 1

    yield "nested_crops_per_second", crops

    def make(name: str) -> int:
        distortion = DISTORTIONS[name]
        ladder(image, rng(0, next(draws)), config.input_size, distortion)
        return 1

    for name in ("gaussian_blur", "jpeg", "gaussian_noise"):
        yield f"ladders_of_{name}_per_second", partial(make, name)

    def any_ladder() -> int:
        for name in RANKIQA_TID2013:
            make(name)
        return len(RANKIQA_TID2013)

    yield "ladders_of_rankiqa_per_second", any_ladder


def _core(
    config: SSRankingConfig,
    data: TrainingData,
    more: bool,
    repeats: int,
    barrier: Any,
    results: Any,
) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found: dict[str, list[float]] = {}
    chain = [*measures(config, data), *(more_measures(config, data) if more else ())]
    work_of = dict(chain)
    # In a trial one thread makes rows while another trains: they share a process and its caches.
    others = dict.fromkeys(work_of, work_of["trained_per_second"])
    others["trained_per_second"] = others["scored_per_second"] = work_of["decoded_per_second"]
    for _ in range(repeats):
        for name, work in chain:
            work()
            # All begin together: a core beside idle ones is faster.
            barrier.wait()
            with _beside(others[name]):
                # Of this thread's time: what else the machine has to do is left out.
                start, begun, done = time.thread_time(), time.perf_counter(), 0
                while time.perf_counter() - begun < SECONDS:
                    done += work()
                rate = done / (time.thread_time() - start)
            found.setdefault(name, []).append(rate)
    results.put(found)


@contextmanager
def _beside(other: Measure) -> Iterator[None]:
    """Do other work in a thread while the block runs."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            other()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def core_rates(
    config: SSRankingConfig, data: TrainingData, *, more: bool = False, repeats: int = 3
) -> dict[str, float]:
    """Return what a core does per second of its time while the others do the same: medians."""
    context = multiprocessing.get_context("spawn")
    cores = os.cpu_count() or 1
    # As Ray's workers have it.
    os.environ.update(memory.ENVIRONMENT)
    barrier, results = context.Barrier(cores), context.Queue()
    arguments = (config, data, more, repeats, barrier, results)
    processes = [context.Process(target=_core, args=arguments) for _ in range(cores)]
    for process in processes:
        process.start()
    found: list[dict[str, list[float]]] = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return {
        name: statistics.median(itertools.chain(*(one[name] for one in found))) for name in found[0]
    }


def as_options(rates: dict[str, float], fields: Sequence[str]) -> str:
    """Return rates as options of jobs/estimate.py."""
    return " ".join(f"--{name.replace('_', '-')} {rates[name]:.4g}" for name in fields)


@contextmanager
def said(what: str) -> Iterator[None]:
    """Say what goes on and the machine's load before and after."""
    print(f"{what} (load {os.getloadavg()[0]:.1f} ...", end=" ", flush=True)
    start = time.monotonic()
    yield
    print(f"{os.getloadavg()[0]:.1f}), {time.monotonic() - start:.0f} s", flush=True)
