"""The plain training loop on several workers: Ray Train around it."""

import math
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from rankloop import errors
from rankloop.errors import ConfigError, RankloopError, StorageError, TrainingError
from rankloop.methods import find_method
from rankloop.methods.method import Method, TrainingData
from rankloop.progress import paced
from rankloop.storage import Folder
from rankloop.streams.batches import plain_batches, worker_items
from rankloop.streams.ray_batches import ray_batches
from rankloop.training.loop import Report, Schedule, Worker, train

# How often a lost worker may be replaced within one run of the command.
MAX_FAILURES = 3
SCRATCH = "ray-train"


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
) -> None:
    """Train with data-parallel workers (NCCL on GPUs, gloo on CPUs); see `train`.

    The rows of a step are dealt out to the workers, so the global batch is the same for any number
    of them; batch normalisation uses each worker's own share. A worker that dies is replaced and
    all go on from the newest checkpoint in ``folder``.

    Args:
        method: what to train.
        config: its configuration.
        data: images and labels, in the object store or in files that all nodes can read.
        folder: the run's folder, which all nodes can reach.
        seed: the run's seed.
        schedule: when to evaluate and to save.
        workers: number of workers; 0 trains in this process, without Ray.
        data_workers: Ray Data tasks per stream and worker; 0 makes rows in the worker itself.
        use_gpu: give each worker a GPU.
        start: see `train`.
        on_report: told in this process of every evaluation; after a restart of past ones again.
        on_step: told every few seconds how many steps are done.

    Raises:
        TrainingError: the loss is NaN, or workers were lost too often.
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
            open_streams=plain_batches,
            start=start,
            on_report=lambda report: on_report(report) is not False,
            on_step=paced(on_step),
        )
        return
    for stream in method.streams(config, data, seed).values():
        worker_items(stream, 0, workers)
    # Train looks for lost workers this often (default 2 s); starting up waits for it too.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.util.queue import Queue

    messages = Queue(actor_options={"num_cpus": 0})
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(node.get("GPU", 0) for node in nodes)
    if use_gpu and workers > gpus:
        raise ConfigError(
            f"--workers {workers} is more than the {gpus:.0f} GPUs of the cluster: give no more"
        )
    cpus = cpus_per_worker(nodes, workers, data_workers, use_gpu)
    trainer = TorchTrainer(
        _work,
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
        },
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=use_gpu, resources_per_worker={"CPU": cpus}
        ),
        # Our own checkpoints are the truth. A name used twice would make Train resume its own.
        run_config=RunConfig(
            name=uuid.uuid4().hex,
            storage_path=(folder / SCRATCH).path,
            storage_filesystem=folder.filesystem,
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    failures: list[tuple[Exception, bool]] = []
    survived = False
    listener = threading.Thread(
        target=_listen, args=(messages, on_report, on_step, failures), daemon=True
    )
    listener.start()
    try:
        _fit(trainer)
        survived = True
    except Exception as error:
        if not failures:
            raise TrainingError(f"training failed on its workers: {error}") from error
    finally:
        messages.put(None)
        listener.join()
        # After Ctrl-C in a Ray that goes on, workers end here: they cannot report any more.
        messages.shutdown()
        # They may still write there then.
        with suppress(StorageError):
            folder.remove(SCRATCH)
    for failure, tried_again in failures:
        # A storage that was away for a moment, say, is no failure once the run has ended well.
        if not (survived and tried_again):
            raise failure


def _fit(trainer: Any) -> None:
    """Run in a thread of its own: in the main one Train would take Ctrl-C for itself, for good."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="rankloop-train", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def cpus_per_worker(
    nodes: Sequence[Mapping[str, float]], workers: int, data_workers: int, use_gpu: bool
) -> float:
    """Return the CPUs to ask for each worker, such that all find room and data tasks do too.

    Workers that held every CPU would wait for their data for ever.

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
    return max(share - max(1, data_workers), share / 2)


def _work(arguments: dict[str, Any]) -> None:
    import ray.train
    from ray.train.torch import get_device

    context = ray.train.get_context()
    messages = arguments["messages"]
    torch.set_num_threads(arguments["threads"])
    data_workers = arguments["data_workers"]
    try:
        train(
            find_method(arguments["method"]),
            arguments["config"],
            arguments["data"],
            arguments["folder"],
            seed=arguments["seed"],
            schedule=arguments["schedule"],
            open_streams=(
                partial(ray_batches, data_workers=data_workers) if data_workers else plain_batches
            ),
            worker=Worker(get_device(), context.get_world_rank(), context.get_world_size()),
            start=arguments["start"],
            on_report=lambda report: messages.put(report) is None,
            on_step=paced(messages.put),
        )
    except RankloopError as error:
        # Trying again would end the same way. A NaN stops all workers alike; anything else may
        # stop one alone, which must take the others with it, since they wait for it.
        try_again = context.get_world_size() > 1 and not isinstance(error, TrainingError)
        messages.put((type(error).__name__, str(error), try_again))
        if try_again:
            raise


def _listen(
    messages: Any,
    on_report: Callable[[Report], Any],
    on_step: Callable[[int], None],
    failures: list[Any],
) -> None:
    while (message := messages.get()) is not None:
        if isinstance(message, int):
            on_step(message)
        elif isinstance(message, Report):
            try:
                on_report(message)
            except Exception as error:
                # The workers go on; what was wrong here is raised when they have ended.
                failures.append((error, False))
        else:
            name, text, try_again = message
            failures.append((getattr(errors, name)(text), try_again))
