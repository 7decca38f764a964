"""What each data-parallel worker does: find its place, train, and tell the driver."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from rankloop.errors import RankloopError, TrainingError
from rankloop.methods import find_method
from rankloop.progress import paced
from rankloop.shown import warn_without_passwords
from rankloop.streams.batches import plain_batches
from rankloop.streams.ray_batches import ray_batches
from rankloop.training.attempts import begin_attempt
from rankloop.training.loop import Worker, train


@dataclass(frozen=True)
class Starting:
    """What is said when Train looks for room for workers, also for those that go on after loss."""


@dataclass(frozen=True)
class Sharing:
    """What the first worker says when it begins: how many share the steps."""

    workers: int


def sharing_workers(workers: int, rows: Sequence[int]) -> int:
    """Return how many of some workers can share every step evenly; the others have no part.

    Args:
        workers: as many as there is room for.
        rows: rows per step of each stream.
    """
    return max(n for n in range(1, workers + 1) if all(row % n == 0 for row in rows))


def _joined(arguments: dict[str, Any]) -> Worker | None:
    """Return this process's place among those that share the steps; None if it has none.

    Raises:
        TrainingError: on the first alone, see `begin_attempt`; the others have no part then.
        Exception: as above: its storage is away, say.
    """
    import ray.train
    from ray.train.torch import get_device

    context = ray.train.get_context()
    rank, there = context.get_world_rank(), context.get_world_size()
    sharing = sharing_workers(there, arguments["rows"])
    # Made by all processes, also by those that have no part in it.
    group = torch.distributed.new_group(range(sharing)) if sharing < there else None
    if rank >= sharing:
        return None
    worker = Worker(get_device(), rank, sharing, group)
    refused: Exception | None = None
    if rank == 0:
        try:
            begin_attempt(arguments["folder"], sharing)
        except Exception as error:
            # One that raised without telling would leave the others waiting.
            refused = error
    flag = torch.tensor(float(refused is not None), device=worker.device)
    worker.all_reduce(flag)
    if refused is not None:
        raise refused
    return None if flag else worker


def work(arguments: dict[str, Any]) -> None:
    """Train as one of the workers; Ray Train runs this in each.

    Args:
        arguments: those of `train`, by name, and ``messages``, the driver's queue: `Sharing`, steps
            done, reports, and failures as (class, text, whether it is tried again).
    """
    # To Ray's logs, which others can read.
    warn_without_passwords()
    messages = arguments["messages"]
    torch.set_num_threads(arguments["threads"])
    data_workers = arguments["data_workers"]
    reads = arguments["data"].reads_at_once
    worker: Worker | None = None
    try:
        worker = _joined(arguments)
        if worker is None:
            return
        if worker.rank == 0:
            messages.put(Sharing(worker.workers))
        train(
            find_method(arguments["method"]),
            arguments["config"],
            arguments["data"],
            arguments["folder"],
            seed=arguments["seed"],
            schedule=arguments["schedule"],
            open_streams=(
                partial(ray_batches, data_workers=data_workers, reads_at_once=reads)
                if data_workers
                else partial(plain_batches, reads_at_once=reads)
            ),
            worker=worker,
            start=arguments["start"],
            on_report=lambda report: messages.put(report) is None,
            on_step=paced(messages.put),
        )
    except RankloopError as error:
        # Trying again would end the same way. A NaN stops all workers alike; anything else may
        # stop one alone, which must take the others with it, since they wait for it.
        several = worker is not None and worker.workers > 1
        try_again = several and not isinstance(error, TrainingError)
        messages.put((type(error).__name__, str(error), try_again))
        if try_again:
            raise
    except Exception:
        messages.put((TrainingError.__name__, traceback.format_exc(), True))
        raise
