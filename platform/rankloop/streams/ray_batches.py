"""The same batches as `plain_batches`, made by Ray Data on any core of the cluster."""

import logging
import warnings
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import ray
import torch
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rankloop.errors import DataError
from rankloop.methods.method import Batch, ExampleStream, Streams
from rankloop.reading import in_order
from rankloop.streams.batches import worker_items

# A dataset is planned as a whole before its first row comes: long runs are planned in parts.
STEPS_PER_DATASET = 1000
# Little enough that tasks find room beside training workers that hold most of a small machine.
CPUS_PER_TASK = 0.25
# Between two tasks a core waits some 20 ms for the next: tasks are long, and give what they have
# block by block. All that a task makes may have to wait in memory for the task before it.
TASK_BYTES, TASK_STEPS = 256 * 2**20, 64
BLOCK_BYTES, BLOCK_STEPS = 64 * 2**20, 16
_AHEAD = 2


def ray_batches(
    streams: Streams,
    start: int,
    stop: int,
    rank: int = 0,
    workers: int = 1,
    *,
    data_workers: int,
    reads_at_once: int = 1,
    in_group: bool = False,
) -> Iterator[Batch]:
    """Yield the batch of each step in [start, stop), made ahead by Ray Data tasks.

    Rows are uint8 tensors of fixed shape, one row per ranked set. Their content and order depend on
    (seed, step) only, not on the number of tasks. They are views of the object store's read-only
    memory: writing into one ends the process.

    Args:
        streams: named streams of rows.
        start: first step.
        stop: one past the last step.
        rank: this worker among the data-parallel ones.
        workers: number of data-parallel workers; each gets its share of every step's rows.
        data_workers: tasks per stream that make rows at once.
        reads_at_once: rows that each of them makes at once, where images are waited for.
        in_group: run the tasks in this process's placement group (`group_cpus` more in it),
            rather than where the cluster has room.

    Raises:
        DataError: a row could not be made.
        ConfigError: the rows of a step cannot be dealt out evenly.
    """
    for first in range(start, stop, STEPS_PER_DATASET):
        last = min(first + STEPS_PER_DATASET, stop)
        used = {name: stream.steps(first, last) for name, stream in streams.items()}
        iterators = {
            name: iter(
                _rows(
                    streams[name],
                    steps,
                    worker_items(streams[name], rank, workers),
                    data_workers=data_workers,
                    reads_at_once=reads_at_once,
                    in_group=in_group,
                )
            )
            for name, steps in used.items()
            if steps
        }
        for step in range(first, last):
            yield {
                name: next(iterator) for name, iterator in iterators.items() if step in used[name]
            }


def group_cpus(streams: int, data_workers: int) -> float:
    """CPUs that the tasks of so many streams need in a placement group."""
    return streams * data_workers * CPUS_PER_TASK


def _rows(
    stream: ExampleStream,
    steps: range,
    items: range,
    *,
    data_workers: int,
    reads_at_once: int,
    in_group: bool,
) -> Iterator[dict[str, torch.Tensor]]:
    start, stop = steps.start, steps.stop
    step_bytes = len(items) * _row_bytes(stream, start, items[0])
    per_block = min(max(1, BLOCK_BYTES // step_bytes), BLOCK_STEPS)
    per_task = min(max(per_block, TASK_BYTES // step_bytes), TASK_STEPS)
    starts = range(start, stop, per_task)

    def make(numbers: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        first = int(numbers["first"][0])
        last = min(first + per_task, stop)
        for block in range(first, last, per_block):
            some = range(block, min(block + per_block, last))
            yield _block(stream, some, items, reads_at_once)

    # Ray Data joins what a task yields until it is larger than this, then cuts at 1.5 times this:
    # a block is exactly what was yielded, and neither joined nor cut.
    _set_up(in_group, block_bytes=round(0.9 * step_bytes * per_block))
    # Blocks made here need no tasks of their own, as those of ray.data.range do.
    numbers = ray.data.from_blocks([pa.table({"first": [first]}) for first in starts])
    dataset = numbers.map_batches(
        make, batch_size=1, num_cpus=CPUS_PER_TASK, concurrency=min(data_workers, len(starts))
    )
    dataset.context.execution_options.preserve_order = True
    try:
        for block in dataset.iter_batches(
            batch_size=None, batch_format="numpy", prefetch_batches=_AHEAD
        ):
            yield from _steps(block, len(items))
    except ray.exceptions.RayTaskError as error:
        if not isinstance(error.cause, DataError):
            raise DataError(str(error)) from error
        # Ours is one line; Ray adds lines of its own advice.
        raise DataError(str(error.cause).partition("\n")[0]) from error


def _row_bytes(stream: ExampleStream, step: int, item: int) -> int:
    try:
        return sum(column.nbytes for column in stream.row(step, item).values())
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{type(error).__name__}: {error}") from error


def _block(
    stream: ExampleStream, steps: range, items: range, reads_at_once: int
) -> dict[str, np.ndarray]:
    places = [(step, item) for step in steps for item in items]
    columns: dict[str, np.ndarray] = {}
    rows = in_order(lambda place: stream.row(*place), places, reads_at_once)
    for number, row in enumerate(rows):
        for name, value in row.items():
            if not number:
                columns[name] = np.empty((len(places), *value.shape), value.dtype)
            columns[name][number] = value
    return columns


def _steps(block: dict[str, np.ndarray], rows: int) -> Iterator[dict[str, torch.Tensor]]:
    count = len(next(iter(block.values())))
    assert count % rows == 0, f"Ray Data cut a block of {count} rows within a step of {rows}"
    for first in range(0, count, rows):
        yield {name: _read_only(column[first : first + rows]) for name, column in block.items()}


def _read_only(column: np.ndarray) -> torch.Tensor:
    # The object store's memory is read in place; torch warns since it has no read-only tensors.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(column)


def _set_up(in_group: bool, block_bytes: int) -> None:
    context = ray.data.DataContext.get_current()
    if in_group:
        context.scheduling_strategy = PlacementGroupSchedulingStrategy(
            ray.util.get_current_placement_group()
        )
    context.target_max_block_size = block_bytes
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Else the error of a row comes wrapped, without its type and message.
    context.raise_original_map_exception = True
    logging.getLogger("ray.data").setLevel(logging.ERROR)
