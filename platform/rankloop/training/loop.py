"""The one training loop: plain PyTorch, for every method, resumable to the bit."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rankloop.errors import CheckpointError, StorageError, TrainingError
from rankloop.methods.method import Batch, Method, OpenStreams, TrainingData
from rankloop.methods.replaced_images import REPLACED
from rankloop.randomness import derived_seed
from rankloop.storage import Folder
from rankloop.training.checkpoints import (
    Checkpoint,
    discard_after,
    load_latest,
    prune,
    save_checkpoint,
    step_name,
)
from rankloop.training.evaluation import evaluate
from rankloop.training.optimizer_state import optimizer_tensors, restore_optimizer


@dataclass(frozen=True)
class Schedule:
    """When to look and when to save, in steps; both also happen at the last step."""

    evaluate_every: int
    checkpoint_every: int


@dataclass(frozen=True)
class Report:
    """What a run tells its watcher after an evaluation.

    Attributes:
        step: training steps done.
        metrics: validation metrics.
        losses: step number to named loss terms, for the steps since the report before.
    """

    step: int
    metrics: Mapping[str, float]
    losses: Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Worker:
    """This process among data-parallel workers; alone, on the GPU if it sees one, by default."""

    device: torch.device = field(
        default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu")
    )
    rank: int = 0
    workers: int = 1
    # torch's process group of these workers; None for all processes there are.
    group: Any = None

    def all_reduce(self, tensor: torch.Tensor, operation: Any = None) -> None:
        """Put the sum (or what ``operation`` makes) over all workers in place of each's tensor."""
        if self.workers > 1:
            operation = operation or torch.distributed.ReduceOp.SUM
            torch.distributed.all_reduce(tensor, operation, group=self.group)


@dataclass
class Progress:
    """How far a run has come: what a checkpoint holds besides the model.

    Attributes:
        step: training steps done.
        losses: term to its value at every step, NaN where the step had no such term.
        reports: step and metrics of every evaluation.
        replaced: row number of each image that could not be read to how often another took its
            place, over all workers.
    """

    step: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    replaced: dict[int, int] = field(default_factory=dict)

    def add(self, terms: Mapping[str, float]) -> None:
        """Take the terms of one more step."""
        for name in terms:
            self.losses.setdefault(name, [math.nan] * self.step)
        for name, values in self.losses.items():
            values.append(terms.get(name, math.nan))
        self.step += 1


def train(
    method: Method,
    config: Any,
    data: TrainingData,
    folder: Folder,
    *,
    seed: int,
    schedule: Schedule,
    open_streams: OpenStreams,
    worker: Worker | None = None,
    start: Folder | None = None,
    on_report: Callable[[Report], bool] = lambda report: True,
    on_step: Callable[[int], None] = lambda done: None,
) -> nn.Module:
    """Train a model for ``config.steps`` steps, going on from the newest checkpoint if any.

    A run that was cut off and started again ends with the same model, to the bit, as one that was
    not (CPU, same number of threads). On restart every report made before is made again, first.

    Args:
        method: what to train.
        config: its configuration.
        data: the images and labels.
        folder: the run's folder; checkpoints go to ``folder/checkpoints``.
        seed: the run's seed.
        schedule: when to evaluate and to save.
        open_streams: how batches are made, in this process or by Ray Data.
        worker: device and rank; alone by default.
        start: a run of the same model whose last weights this one begins with.
        on_report: called on rank 0 after each evaluation; returning False ends the run early.
        on_step: called on rank 0 with the number of steps done, after each.

    Returns:
        The model, in evaluation mode.

    Raises:
        TrainingError: the loss, the weights or the scores are NaN or infinite.
        CheckpointError: the folder holds checkpoints of another configuration, or ``start`` none.
        StorageError: a checkpoint cannot be written (those before are intact), or workers on
            several machines do not share the folder.
    """
    worker = worker or Worker()
    model = method.build(config, seed).to(worker.device)
    if start is not None:
        _begin_with(model, start)
    method.initialise(model, config, data)
    optimizer = method.optimizer(model, config)
    identity = run_identity(method, config, seed)
    progress = _resume(folder, identity, model, optimizer)
    _check_alike(folder, progress.step, worker)
    if worker.rank == 0:
        discard_after(folder / "checkpoints", progress.step)
    for index in range(len(progress.reports)):
        if worker.rank == 0 and not on_report(report_at(progress, index)):
            return model.eval()
    network: nn.Module = model
    if worker.workers > 1:
        network = DistributedDataParallel(model, process_group=worker.group, broadcast_buffers=True)
    batches = open_streams(
        method.streams(config, data, seed), progress.step, config.steps, worker.rank, worker.workers
    )
    model.train()
    before = dict(progress.replaced)
    here: Counter[int] = Counter()
    for batch in batches:
        here.update(_replaced(batch))
        method.before_step(model, optimizer, config, seed, progress.step)
        terms = _step(method, config, network, optimizer, batch, seed, progress.step, worker)
        progress.add(terms)
        if worker.rank == 0:
            on_step(progress.step)
        last = progress.step == config.steps
        go_on = True
        reports = last or progress.step % schedule.evaluate_every == 0
        due = last or progress.step % schedule.checkpoint_every == 0
        if worker.rank == 0 and (reports or due):
            method.prepare_scoring(model, config, data, seed)
        if reports:
            metrics = _validate(method, config, model, data, progress.step, worker)
            progress.reports.append({"step": progress.step, "metrics": _finite(metrics)})
        # Before the report, since a sweep that stops a run at it ends this process within it.
        if due:
            progress.replaced = _added(before, here, data, worker)
        if worker.rank == 0 and due:
            _save(folder, identity, model, optimizer, progress)
        if worker.rank == 0 and reports:
            go_on = on_report(report_at(progress, len(progress.reports) - 1))
        if not go_on:
            if not due:
                progress.replaced = _added(before, here, data, worker)
                _save(folder, identity, model, optimizer, progress)
            break
    return model.eval()


def run_identity(method: Method, config: Any, seed: int) -> dict[str, Any]:
    """What a checkpoint says of the run that made it."""
    return {
        "method": method.name,
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "higher_is_better": method.higher_is_better,
    }


def _begin_with(model: nn.Module, start: Folder) -> None:
    checkpoint = load_latest(start / "checkpoints", training=False)
    if checkpoint is None:
        raise CheckpointError(f"{start} has no checkpoint to begin with: train it first")
    model.load_state_dict(checkpoint.model)


def _step(
    method: Method,
    config: Any,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    seed: int,
    step: int,
    worker: Worker,
) -> dict[str, float]:
    # Layers such as dropout draw from torch's generator: tied to the step, a restart repeats them.
    torch.manual_seed(derived_seed(seed, "step", step))
    for group in optimizer.param_groups:
        group["lr"] = method.learning_rate(config, step) * group.get("factor", 1.0)
    moved = {
        name: {
            column: tensor.to(worker.device, non_blocking=True)
            for column, tensor in columns.items()
        }
        for name, columns in batch.items()
    }
    terms = method.loss(network, moved, config)
    loss = torch.stack(list(terms.values())).sum()
    values = _mean_over_workers({name: term.detach() for name, term in terms.items()}, worker)
    if not all(math.isfinite(value) for value in values.values()):
        raise TrainingError(
            f"the loss is not finite at step {step}: {values}; lower learning_rate "
            f"(now {config.learning_rate})"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return values


def _replaced(batch: Batch) -> list[int]:
    columns = [stream[REPLACED] for stream in batch.values() if REPLACED in stream]
    found: list[int] = torch.cat([rows[rows >= 0] for rows in columns]).tolist() if columns else []
    return found


def _added(
    before: Mapping[int, int], here: Mapping[int, int], data: TrainingData, worker: Worker
) -> dict[int, int]:
    """Add up what every worker has seen since the run went on and what was seen before that."""
    counts = torch.zeros(len(data.dataset.images), dtype=torch.int64)
    for row, count in here.items():
        counts[row] = count
    if worker.workers > 1:
        counts = counts.to(worker.device)
        worker.all_reduce(counts)
    found = {int(row): int(counts[row]) for row in counts.nonzero()}
    return dict(Counter(before) + Counter(found))


def _validate(
    method: Method, config: Any, model: nn.Module, data: TrainingData, step: int, worker: Worker
) -> Mapping[str, float]:
    metrics: Mapping[str, float] = {}
    diverged = not all(torch.isfinite(p).all() for p in model.parameters())
    if worker.rank == 0 and not diverged:
        try:
            metrics = evaluate(method, config, model, data, "validation", worker.device).metrics
        except TrainingError:
            diverged = True
    # Only rank 0 looks, but all must stop: one that went on would wait for the others for ever.
    flag = torch.tensor(float(diverged), device=worker.device)
    if _mean_over_workers({"diverged": flag}, worker)["diverged"]:
        raise TrainingError(
            f"weights or validation scores are not finite after step {step}: lower the learning "
            "rate or the loss weights"
        )
    return metrics


def _mean_over_workers(terms: Mapping[str, torch.Tensor], worker: Worker) -> dict[str, float]:
    # Every worker sees the same numbers, so that all of them stop at a NaN and none waits.
    stacked = torch.stack([term.double() for term in terms.values()])
    worker.all_reduce(stacked)
    stacked /= worker.workers
    return dict(zip(terms, stacked.tolist(), strict=True))


def report_at(progress: Progress, index: int) -> Report:
    """Return the report of one evaluation, with the losses since the one before."""
    past = progress.reports[index]
    start = progress.reports[index - 1]["step"] if index else 0
    losses = {
        step: {
            name: values[step]
            for name, values in progress.losses.items()
            if not math.isnan(values[step])
        }
        for step in range(start, past["step"])
    }
    metrics = {k: math.nan if v is None else v for k, v in past["metrics"].items()}
    return Report(past["step"], metrics, losses)


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _save(
    folder: Folder,
    identity: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    tensors, numbers = optimizer_tensors(optimizer)
    losses = {
        f"loss/{name}": torch.tensor(values, dtype=torch.float64)
        for name, values in progress.losses.items()
    }
    checkpoint = Checkpoint(
        step=progress.step,
        model=model.state_dict(),
        training={**tensors, **losses},
        config=identity,
        state={
            "reports": progress.reports,
            "replaced": sorted(progress.replaced.items()),
            "optimizer": numbers,
            "saved": time.time(),
        },
    )
    parent = folder / "checkpoints"
    save_checkpoint(parent, step_name(progress.step), checkpoint)
    prune(parent)


def _resume(
    folder: Folder, identity: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer
) -> Progress:
    checkpoint = load_latest(folder / "checkpoints")
    if checkpoint is None:
        return Progress()
    if checkpoint.config != identity:
        raise CheckpointError(
            f"{folder} holds checkpoints of another configuration: give another --storage, or "
            "remove that folder"
        )
    model.load_state_dict(checkpoint.model)
    restore_optimizer(optimizer, checkpoint.training, checkpoint.state["optimizer"])
    return progress_of(checkpoint)


def _check_alike(folder: Folder, step: int, worker: Worker) -> None:
    if worker.workers == 1:
        return
    extremes = torch.tensor([step, -step], device=worker.device)
    worker.all_reduce(extremes, torch.distributed.ReduceOp.MAX)
    last, first = int(extremes[0]), -int(extremes[1])
    if first != last:
        raise StorageError(
            f"workers found different checkpoints in {folder}, of steps {first} and {last}: give "
            "a --storage folder or URI that all nodes share"
        )


def progress_of(checkpoint: Checkpoint) -> Progress:
    """Return how far the run of a checkpoint had come."""
    losses = {
        name.removeprefix("loss/"): tensor.tolist()
        for name, tensor in checkpoint.training.items()
        if name.startswith("loss/")
    }
    # Checkpoints of before this was counted do not have it.
    replaced = dict(checkpoint.state.get("replaced", ()))
    return Progress(checkpoint.step, losses, list(checkpoint.state["reports"]), replaced)
