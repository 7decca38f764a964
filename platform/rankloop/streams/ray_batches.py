"""The same batches as `plain_batches`, made by Ray Data on any core of the cluster."""

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import ray
import torch
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rankloop.errors import DataError
from rankloop.methods.method import Batch, ExampleStream, Streams
from rankloop.streams.batches import worker_items

# A dataset is planned as a whole before its first row comes: long runs are planned in parts.
STEPS_PER_DATASET = 1000
# Little enough that tasks find room beside training workers that hold most of a small machine.
CPUS_PER_TASK = 0.25
# Between two tasks a core waits some 20 ms for the next: tasks are long, and give what they have.
STEPS_PER_TASK = 16
BLOCK_BYTES = 48 * 2**20
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
    starts = range(start, stop, STEPS_PER_TASK)

    def make(numbers: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        first = int(numbers["first"][0])
        for step in range(first, min(first + STEPS_PER_TASK, stop)):
            rows = [stream.row(step, item) for item in items]
            yield {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    _set_up(in_group)
    # Blocks made here need no tasks of their own, as those of ray.data.range do.
    numbers = ray.data.from_blocks([pa.table({"first": [first]}) for first in starts])
    dataset = numbers.map_batches(
        make, batch_size=1, num_cpus=CPUS_PER_TASK, concurrency=min(data_workers, len(starts))
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


def _set_up(in_group: bool) -> None:
    context = ray.data.DataContext.get_current()
    if in_group:
        context.scheduling_strategy = PlacementGroupSchedulingStrategy(
            ray.util.get_current_placement_group()
        )
    context.target_max_block_size = BLOCK_BYTES
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Else the error of a row comes wrapped, without its type and message.
    context.raise_original_map_exception = True
    logging.getLogger("ray.data").setLevel(logging.ERROR)
