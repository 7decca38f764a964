"""The plain training loop on several workers: Ray Train around it."""

import logging
import math
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from rankloop import errors
from rankloop.cluster import beside_driver, most_gpus, on_cluster
from rankloop.errors import ConfigError, StorageError, TrainingError
from rankloop.methods.method import Method, TrainingData
from rankloop.progress import paced
from rankloop.shown import last_line
from rankloop.storage import Folder
from rankloop.streams.batches import plain_batches, worker_items
from rankloop.training.attempts import forget_attempts
from rankloop.training.distributed_worker import Sharing, Starting, work
from rankloop.training.loop import Report, Schedule, train
from rankloop.waiting import Waiting, needed

SCRATCH = "ray-train"
# Between two looks for hosts that have come back, or were started since.
RESIZE_SECONDS = 30.0
_log = logging.getLogger("rankloop")


def train_distributed(
    method: Method,
    config: Any,
    data: TrainingData,
    folder: Folder,
    *,
    seed: int,
    schedule: Schedule,
    workers: int,
    data_workers: int,
    use_gpu: bool,
    start: Folder | None = None,
    on_report: Callable[[Report], Any] = lambda report: True,
    on_step: Callable[[int], None] = lambda done: None,
    on_workers: Callable[[int], None] = lambda workers: None,
    on_wait: Callable[[str], None] = lambda line: None,
) -> None:
    """Train with data-parallel workers (NCCL on GPUs, gloo on CPUs); see `train`.

    The rows of a step are dealt out to the workers, so the global batch is the same for any number
    of them; batch normalisation uses each worker's own share. A worker that dies is replaced and
    all go on from the newest checkpoint in ``folder``; where there is no room for it any more, as
    many as there is room for go on, and all again once there is.

    Args:
        method: what to train.
        config: its configuration.
        data: images and labels, in the object store or in files that all nodes can read.
        folder: the run's folder, which all nodes can reach.
        seed: the run's seed.
        schedule: when to evaluate and to save.
        workers: most workers at once; 0 trains in this process, without Ray.
        data_workers: Ray Data tasks per stream and worker; 0 makes rows in the worker itself.
        use_gpu: give each worker a GPU.
        start: see `train`.
        on_report: told in this process of every evaluation; after a restart of past ones again.
        on_step: told every few seconds how many steps are done.
        on_workers: told how many workers train, whenever that many begin.
        on_wait: told every minute what is waited for, while no worker can begin, or begin again.

    Raises:
        TrainingError: the loss is NaN, or workers were lost again and again at the same step, in
            their start, or more than MOST_FAILURES times in all.
        StorageError: a checkpoint could not be written, or the nodes do not share ``folder``.
        DataError: a row could not be made.
        ConfigError: the rows of a step cannot be dealt out evenly.
    """
    if workers == 0:
        train(
            method,
            config,
            data,
            folder,
            seed=seed,
            schedule=schedule,
            open_streams=partial(plain_batches, reads_at_once=data.reads_at_once),
            start=start,
            on_report=lambda report: on_report(report) is not False,
            on_step=paced(on_step),
        )
        return
    streams = method.streams(config, data, seed).values()
    for stream in streams:
        worker_items(stream, 0, workers)
    forget_attempts(folder)
    # Train looks for lost workers this often (default 2 s); starting up waits for it too.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.util.queue import Queue

    from rankloop.training.network import AddressedTorchConfig
    from rankloop.training.worker_starts import WatchedTrainer, failure_config, fit

    messages = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": beside_driver()})
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if use_gpu and workers > most_gpus():
        raise ConfigError(
            f"--workers {workers} is more than the {most_gpus()} GPUs of the cluster: give no more"
        )
    cpus = cpus_per_worker(nodes, workers, data_workers, use_gpu)
    new_trainer = partial(
        WatchedTrainer,
        train_loop_per_worker=work,
        on_start=lambda: messages.actor.put.remote(Starting()),
        train_loop_config={
            "method": method.name,
            "config": config,
            "data": data,
            "folder": folder,
            "seed": seed,
            "schedule": schedule,
            "start": start,
            "data_workers": data_workers,
            "threads": max(1, int(cpus)),
            "messages": messages,
            "rows": [stream.rows_per_step for stream in streams],
        },
        torch_config=AddressedTorchConfig(),
        scaling_config=ScalingConfig(
            num_workers=(1, workers) if workers > 1 and on_cluster() else workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": cpus},
            # GPUs of one host exchange gradients fastest; CPUs are best used on all hosts.
            placement_strategy="PACK" if use_gpu else "SPREAD",
            elastic_resize_monitor_interval_s=RESIZE_SECONDS,
        ),
    )
    new_run = partial(
        RunConfig,
        storage_path=(folder / SCRATCH).path,
        storage_filesystem=folder.filesystem,
        failure_config=failure_config(),
    )

    def start_trainer() -> WatchedTrainer:
        # Our own checkpoints are the truth. A name used twice would make Train resume its own.
        return new_trainer(run_config=new_run(name=uuid.uuid4().hex))

    failures: list[tuple[Exception, bool]] = []
    failed: Exception | None = None
    training = threading.Event()
    listener = threading.Thread(
        target=_listen,
        args=(messages, on_report, on_step, on_workers, training, failures),
        daemon=True,
    )
    listener.start()
    waiting = Waiting(needed(float(use_gpu), cpus, "worker"), on_wait)
    try:
        with waiting.looking(lambda: not training.is_set()):
            fit(start_trainer)
    except Exception as error:
        failed = error
    finally:
        messages.put(None)
        listener.join()
        # After Ctrl-C in a Ray that goes on, workers end here: they cannot report any more.
        messages.shutdown()
        # They may still write there then.
        with suppress(StorageError):
            folder.impatient.remove(SCRATCH)
    _raise_last(failures, failed)


def _raise_last(failures: Sequence[tuple[Exception, bool]], failed: Exception | None) -> None:
    """Raise what ended a training, if it did not end well.

    Args:
        failures: what workers told, and whether it was tried again.
        failed: what Train raised.
    """
    final = [failure for failure, tried_again in failures if not tried_again]
    causes = [failure for failure, tried_again in failures if tried_again]
    # What was tried again, in vain, is why nothing more was.
    why = f"; the last time with: {last_line(str(causes[-1]))}" if causes else ""
    if final and why and isinstance(final[-1], TrainingError):
        raise TrainingError(f"{final[-1]}{why}") from causes[-1]
    if final:
        raise final[-1]
    if failed is not None:
        raise TrainingError(f"training failed on its workers: {failed}{why}") from failed


def cpus_per_worker(
    nodes: Sequence[Mapping[str, float]], workers: int, data_workers: int, use_gpu: bool
) -> float:
    """Return the CPUs to ask for each worker, such that all find room and data tasks do too.

    Workers that held every CPU would wait for their data for ever; those that make it themselves
    need no room for tasks.

    Args:
        nodes: Ray's resources (``CPU``, ``GPU``) of each node.
        workers: number of workers.
        data_workers: Ray Data tasks per stream and worker.
        use_gpu: whether each worker needs a GPU on its node.
    """
    sizes = [
        (node["CPU"], int(node.get("GPU", 0)) if use_gpu else workers)
        for node in nodes
        if node.get("CPU")
    ]

    def places(share: float) -> int:
        return sum(min(math.floor(cpus / share + 1e-9), most) for cpus, most in sizes)

    shares = {cpus / k for cpus, _ in sizes for k in range(1, workers + 1)}
    # Where nothing fits, a modest wish is what an autoscaling cluster can answer.
    share = max((share for share in shares if places(share) >= workers), default=2.0)
    if data_workers:
        share = max(share - data_workers, share / 2)
    # Train counts by dividing what it has reserved: fractions must add up exactly.
    return math.floor(share * 64) / 64 or share


def _listen(
    messages: Any,
    on_report: Callable[[Report], Any],
    on_step: Callable[[int], None],
    on_workers: Callable[[int], None],
    training: threading.Event,
    failures: list[Any],
) -> None:
    while (message := messages.get()) is not None:
        try:
            if isinstance(message, int):
                on_step(message)
            elif isinstance(message, Starting):
                training.clear()
            elif isinstance(message, Sharing):
                training.set()
                # Whatever was tried again is overcome.
                failures[:] = [failure for failure in failures if not failure[1]]
                on_workers(message.workers)
            elif isinstance(message, Report):
                on_report(message)
            else:
                name, text, try_again = message
                failures.append((getattr(errors, name)(text), try_again))
                if try_again:
                    _log.warning("a worker ended, and training is tried again: %s", last_line(text))
        except Exception as error:
            # The workers go on; what was wrong here is raised when they have ended.
            failures.append((error, False))
