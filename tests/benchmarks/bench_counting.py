"""Counting: rows of streams beside a DataLoader, waiting, and inference beside the forward pass.

    python tests/benchmarks/bench_counting.py --data shanghaitech:A [--backbone resnet18]

Streams of patches and of nested crops take turns with a plain torch DataLoader that makes the same
rows on as many cores; photographs are decoded from their files by both. The time runs from the end
of Ray Data's first task to the last row. By then every further worker has made a task of its own,
so that with two workers a tenth of 640 batches is made ahead: ratios of Ray are too high by a tenth
at most. Rows made in this process, two batches ahead, are timed for a quarter as many.

Waiting is the share of a training run's time that goes into fetching the next batch, after as many
steps as a task makes and over three times as many. A small network's steps are longer than making
their rows, and the object store holds rows of hundreds of steps: Ray's share is then that of
handing them over, and what they cost to make is in the rows per second.

Inference scores whole JPEG files, a photograph of the data resized to 1024 x 768 pixels, decoding
included, beside the network's forward pass on the decoded one, by as many threads of one core each.
Medians of several turns (waiting: one), ratios of paired ones.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import cv2
import torch
from bench_streams import data_loader, ours, rows_per_second

from rankloop.cluster import connected
from rankloop.datasets.options import DataOptions
from rankloop.images import encode
from rankloop.methods.counting import COUNTING
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.method import OpenStreams
from rankloop.scoring.pipeline import scores_in_process
from rankloop.scoring.scorer import ImageScorer, _full_precision
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.streams.ray_batches import TASK_STEPS, ray_batches
from rankloop.training.experiment import Prepared, prepare_data
from rankloop.training.loop import Schedule, train

HEIGHT, WIDTH = 768, 1024
STREAM_GOAL, WAITING_GOAL, INFERENCE_GOAL = 1.0, 0.05, 0.9
# Whole tasks of Ray's, several of them timed.
WARM_UP = TASK_STEPS
STEPS = WARM_UP + 3 * TASK_STEPS
# In this process two batches are made ahead: fewer are enough.
FEWER = 4


def streams(prepared: Prepared, config: CountingConfig, options: argparse.Namespace) -> None:
    """Print rows per second of both streams."""
    print(f"{'rows/s':44} {'each':>8} {'DataLoader':>11} {'ratio':>7}   goal", flush=True)
    ways = {
        f"ray_batches, {options.workers} workers": (
            partial(ours, partial(ray_batches, data_workers=options.workers)),
            options.workers,
            options.batches,
        ),
        "plain_batches, 1 thread": (
            partial(ours, plain_batches),
            1,
            max(1, options.batches // FEWER),
        ),
    }
    for name, stream in COUNTING.streams(config, prepared.data, 0).items():
        for way, (open_way, workers, batches) in ways.items():
            found = [
                (
                    rows_per_second(open_way, stream, batches),
                    rows_per_second(partial(data_loader, workers=workers), stream, batches),
                )
                for _ in range(options.repeats)
            ]
            each, beside = (statistics.median(column) for column in zip(*found, strict=True))
            ratio = statistics.median(a / b for a, b in found)
            print(
                f"{name + ', ' + way:44} {each:>8.1f} {beside:>11.1f} {ratio:>7.2f}"
                f"   >= {STREAM_GOAL}",
                flush=True,
            )


def waiting(prepared: Prepared, config: CountingConfig, open_streams: OpenStreams) -> float:
    """Share of training time that goes into fetching the next batch, once under way."""
    waits: list[float] = []
    started = 0.0

    def watched(*arguments: object) -> object:
        nonlocal started
        batches = open_streams(*arguments)  # type: ignore[arg-type]
        for step in range(config.steps):
            if step == WARM_UP:
                started = time.perf_counter()
            before = time.perf_counter()
            batch = next(batches)
            if step >= WARM_UP:
                waits.append(time.perf_counter() - before)
            yield batch

    ended = 0.0

    def step_done(done: int) -> None:
        nonlocal ended
        ended = time.perf_counter()

    with tempfile.TemporaryDirectory() as name:
        train(
            COUNTING,
            config,
            prepared.data,
            open_folder(name),
            seed=0,
            schedule=Schedule(config.steps, config.steps),
            open_streams=watched,  # type: ignore[arg-type]
            on_step=step_done,
        )
    return sum(waits) / (ended - started)


def waits(prepared: Prepared, config: CountingConfig) -> None:
    """Print the share of time that a training step waits."""
    print(f"\n{'waiting for data':44} {'share':>8}   goal")
    ways: dict[str, OpenStreams] = {
        "plain_batches": plain_batches,
        "ray_batches, 1 worker": partial(ray_batches, data_workers=1),
    }
    few = config.model_copy(update={"steps": STEPS})
    for way, open_streams in ways.items():
        share = waiting(prepared, few, open_streams)
        print(f"{way:44} {share:>8.1%}   < {WAITING_GOAL:.0%}", flush=True)


def inference(prepared: Prepared, config: CountingConfig, options: argparse.Namespace) -> None:
    """Print images per second of whole files beside the forward pass alone."""
    model = COUNTING.build(config, 0).eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scorer = ImageScorer(COUNTING, config, model.to(device), device)
    image = cv2.resize(prepared.data.load(0), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    batch = torch.tensor(image).permute(2, 0, 1)[None].to(device)
    with tempfile.TemporaryDirectory() as name:
        file = str(Path(name) / "photo.jpg")
        Path(file).write_bytes(encode(image, "jpeg", 95))
        found = []
        for turn in range(options.repeats + 1):
            forward = forward_seconds(scorer, batch, options.images)
            started = time.perf_counter()
            done = sum(len(some) for some in scores_in_process(scorer, [file] * options.images, 1))
            assert done == options.images
            if turn:
                found.append((options.images / (time.perf_counter() - started), forward))
    each = statistics.median(speed for speed, _ in found)
    alone = statistics.median(options.images / forward for _, forward in found)
    ratio = statistics.median(speed * forward / options.images for speed, forward in found)
    print(f"\n{'inference, images/s of 1024 x 768':44} {'files':>8} {'forward':>11} {'ratio':>7}")
    name = f"{config.backbone}, batch of 1"
    print(f"{name:44} {each:>8.2f} {alone:>11.2f} {ratio:>7.2f}   >= {INFERENCE_GOAL}")


def forward_seconds(scorer: ImageScorer, batch: torch.Tensor, images: int) -> float:
    """Seconds of so many forward passes, spread over threads as `scores_in_process` does."""
    threads = torch.get_num_threads()
    with (
        _full_precision(scorer.device),
        ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool,
    ):
        # All threads are there before the time runs.
        list(pool.map(lambda _: scorer.method.predict(scorer.model, batch), range(threads)))
        started = time.perf_counter()
        list(
            pool.map(lambda _: float(scorer.method.predict(scorer.model, batch)[0]), range(images))
        )
        taken = time.perf_counter() - started
    torch.set_num_threads(threads)
    return taken


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["discs"])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--input-size", type=int, default=112)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, default=640)
    parser.add_argument("--images", type=int, default=8)
    options = parser.parse_args()
    config = CountingConfig(
        backbone=options.backbone,
        weights="none",
        input_size=options.input_size,
        labelled_images=2,
        ranked_images=5,
    )
    print(
        f"{config.backbone} on {config.input_size} x {config.input_size} pixels; a batch has "
        f"{config.labelled_images} patches and a set of {config.crops} nested crops"
    )
    prepared = prepare_data(DataOptions(data=tuple(options.data)), COUNTING, config)
    with connected():
        streams(prepared, config, options)
        waits(prepared, config)
    inference(prepared, config, options)


if __name__ == "__main__":
    main()
