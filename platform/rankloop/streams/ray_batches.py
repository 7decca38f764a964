"""The same batches as `plain_batches`, made by Ray Data on any core of the cluster."""

import logging
import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import ray
import torch
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rankloop.errors import DataError
from rankloop.methods.method import Batch, ExampleStream
from rankloop.streams.batches import Streams, worker_items

# A dataset is planned as a whole before its first row comes: long runs are planned in parts.
STEPS_PER_DATASET = 1000
# Little enough that tasks find room beside training workers that hold most of a small machine.
CPUS_PER_TASK = 0.25
# A task costs Ray some 10 ms, a small row 0.3 ms: a task makes as many steps as fill this.
TASK_BYTES = 16 * 2**20
MAX_STEPS_PER_TASK = 8
_AHEAD = 2


def ray_batches(
    streams: Streams,
    start: int,
    stop: int,
    rank: int = 0,
    workers: int = 1,
    *,
    data_workers: int,
    in_group: bool = False,
) -> Iterator[Batch]:
    """Yield the batch of each step in [start, stop), made ahead by Ray Data tasks.

    Rows are uint8 tensors of fixed shape, one row per ranked set. Their content and order depend on
    (seed, step) only, not on the number of tasks.

    Args:
        streams: named streams of rows.
        start: first step.
        stop: one past the last step.
        rank: this worker among the data-parallel ones.
        workers: number of data-parallel workers; each gets its share of every step's rows.
        data_workers: tasks per stream that make rows at once.
        in_group: run the tasks in this process's placement group (`group_cpus` more in it),
            rather than where the cluster has room.

    Raises:
        DataError: a row could not be made.
        ConfigError: the rows of a step cannot be dealt out evenly.
    """
    for first in range(start, stop, STEPS_PER_DATASET):
        last = min(first + STEPS_PER_DATASET, stop)
        iterators = {
            name: iter(_rows(stream, first, last, rank, workers, data_workers, in_group))
            for name, stream in streams.items()
        }
        for _ in range(first, last):
            yield {name: next(iterator) for name, iterator in iterators.items()}


def group_cpus(streams: int, data_workers: int) -> float:
    """CPUs that the tasks of so many streams need in a placement group."""
    return streams * data_workers * CPUS_PER_TASK


def _rows(
    stream: ExampleStream,
    start: int,
    stop: int,
    rank: int,
    workers: int,
    data_workers: int,
    in_group: bool,
) -> Iterator[dict[str, torch.Tensor]]:
    items = worker_items(stream, rank, workers)
    together = _steps_per_task(stream, start, items)
    tasks = math.ceil((stop - start) / together)

    def make(numbers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        first = start + int(numbers["id"][0]) * together
        steps = range(first, min(first + together, stop))
        rows = [stream.row(step, item) for step in steps for item in items]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    _set_up(in_group)
    # Blocks made here need no tasks of their own, as those of ray.data.range do.
    numbers = ray.data.from_blocks([pa.table({"id": [task]}) for task in range(tasks)])
    dataset = numbers.map_batches(
        make, batch_size=1, num_cpus=CPUS_PER_TASK, concurrency=data_workers
    )
    dataset.context.execution_options.preserve_order = True
    try:
        batches = dataset.iter_batches(
            batch_size=len(items), batch_format="numpy", prefetch_batches=_AHEAD
        )
        for batch in batches:
            # The object store's memory is read-only, which torch tensors cannot be.
            yield {name: torch.from_numpy(np.array(column)) for name, column in batch.items()}
    except ray.exceptions.RayTaskError as error:
        if not isinstance(error.cause, DataError):
            raise DataError(str(error)) from error
        # Ours is one line; Ray adds lines of its own advice.
        raise DataError(str(error.cause).partition("\n")[0]) from error


def _steps_per_task(stream: ExampleStream, step: int, items: range) -> int:
    try:
        row = stream.row(step, items[0])
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{type(error).__name__}: {error}") from error
    size = sum(column.nbytes for column in row.values()) * len(items)
    return max(1, min(MAX_STEPS_PER_TASK, TASK_BYTES // size))


def _set_up(in_group: bool) -> None:
    context = ray.data.DataContext.get_current()
    if in_group:
        context.scheduling_strategy = PlacementGroupSchedulingStrategy(
            ray.util.get_current_placement_group()
        )
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Else the error of a row comes wrapped, without its type and message.
    context.raise_original_map_exception = True
    logging.getLogger("ray.data").setLevel(logging.ERROR)
