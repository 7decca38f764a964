"""From rows of example streams to one batch of tensors per step, in this process."""

import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from rankloop.errors import ConfigError
from rankloop.methods.method import Batch, ExampleStream, Streams
from rankloop.reading import in_order

_AHEAD = 2


def worker_items(stream: ExampleStream, rank: int, workers: int) -> range:
    """Items of every step that one of several data-parallel workers trains on.

    Raises:
        ConfigError: the rows of a step cannot be dealt out evenly.
    """
    if stream.rows_per_step % workers:
        raise ConfigError(
            f"{stream.rows_per_step} rows per step cannot be divided among {workers} workers: "
            f"choose a batch size that {workers} divides, or another --workers"
        )
    share = stream.rows_per_step // workers
    return range(rank * share, (rank + 1) * share)


def stack(rows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack rows into tensors whose first dimension is the row."""
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


def plain_batches(
    streams: Streams,
    start: int,
    stop: int,
    rank: int = 0,
    workers: int = 1,
    *,
    reads_at_once: int = 1,
) -> Iterator[Batch]:
    """Yield the batch of each step in [start, stop), made ahead by a thread of this process.

    The thread and the training step overlap, since OpenCV and torch release Python's lock. Several
    rows are made at once where ``reads_at_once`` says so.
    """
    items = {name: worker_items(stream, rank, workers) for name, stream in streams.items()}

    def make(step: int) -> Batch:
        return {
            name: stack(list(in_order(partial(stream.row, step), items[name], reads_at_once)))
            for name, stream in streams.items()
            if stream.steps(step, step + 1)
        }

    yield from _ahead(make, start, stop)


def _ahead(make: Callable[[int], Batch], start: int, stop: int) -> Iterator[Batch]:
    ready: queue.Queue[Any] = queue.Queue(maxsize=_AHEAD)
    closed = threading.Event()

    def put(value: Any) -> None:
        while not closed.is_set():
            try:
                ready.put(value, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(start, stop):
                if closed.is_set():
                    return
                put(make(step))
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="rankloop-batches", daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            batch = ready.get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        closed.set()
        thread.join()
