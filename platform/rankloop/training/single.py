"""One configuration, trained from start to end or from wherever it was cut off."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rankloop.cluster import connected, data_workers_per_gpu, gpus_per_run
from rankloop.figures import save_figures
from rankloop.locking import locked
from rankloop.methods.method import Method
from rankloop.storage import Folder
from rankloop.streams.shared_images import share_images
from rankloop.tracking import Tracking, data_tags, open_tracking
from rankloop.training.checkpoints import load_latest
from rankloop.training.distributed import train_distributed
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import Prepared, write_result
from rankloop.training.final import final_model, past_reports, replaced_images
from rankloop.training.first_batch import first_batch_figures
from rankloop.training.loop import Report, Schedule
from rankloop.training.publishing import publish


def run_training(
    method: Method,
    config: Any,
    prepared: Prepared,
    folder: Folder,
    storage: Folder,
    *,
    seed: int,
    workers: int,
    data_workers: int | None,
    schedule: Schedule,
) -> dict[str, Any]:
    """Train one configuration, or go on with it, and return its result.

    Raises:
        TrainingError: the loss became NaN.
        LockedError: another driver is at work on this run.
    """
    with locked(folder), connected():
        tracking = open_tracking(storage)
        open_run = partial(
            tracking.start_run,
            method.name,
            f"train {folder.name}",
            key=str(folder),
            params={**config.model_dump(mode="json"), "seed": seed},
            tags=data_tags(prepared.data.dataset),
        )
        run_id = open_run()
        # Workers' warnings do not reach the terminal: a damaged checkpoint is named from here.
        last = load_latest(folder / "checkpoints")
        if last is not None:
            print(f"going on from step {last.step}", flush=True)
        pictures = _first_batch_pictures(method, config, prepared, folder, seed)
        tracking.log_files(run_id, folder, pictures)
        begun = time.monotonic()

        def report(found: Report) -> bool:
            tracking.log_evaluation(run_id, found.step, found.metrics, found.losses.items())
            if last is None or found.step > last.step:
                seconds = time.monotonic() - begun
                print(f"[{seconds:5.0f} s] {_shown(found, method, config, prepared)}", flush=True)
            return True

        def count(done: int) -> None:
            seconds = time.monotonic() - begun
            print(f"[{seconds:5.0f} s] step {done} of {config.steps}", flush=True)

        sharing = 0

        def count_workers(found: int) -> None:
            nonlocal sharing
            if found != sharing:
                seconds = time.monotonic() - begun
                line = f"training {'goes on' if sharing else 'begins'} with {found} of {workers}"
                print(f"[{seconds:5.0f} s] {line} workers", flush=True)
            sharing = found

        with tracking.ending(run_id):
            train_distributed(
                method,
                config,
                share_images(prepared.data, prepared.array),
                folder,
                seed=seed,
                schedule=schedule,
                workers=workers,
                data_workers=(
                    max(1, data_workers_per_gpu()) if data_workers is None else data_workers
                ),
                use_gpu=gpus_per_run() > 0,
                on_report=report,
                on_step=count,
                on_workers=count_workers,
                on_wait=lambda line: print(line, flush=True),
            )
            print("evaluating on validation and test images", flush=True)
            final = final_model(method, config, folder, prepared.data)
            dataset = prepared.data.dataset
            metrics = final.metrics
            metrics["test"] |= method.further_metrics(
                final.model, config, prepared.data, final.evaluations["test"].images, seed
            )
            result = write_result(
                folder,
                method,
                config,
                dataset,
                seeds=[seed],
                metrics=metrics,
                more={"replaced_images": replaced_images(final.checkpoint, dataset)},
            )
            print("drawing figures and logging the model", flush=True)
            names = publish(method, final, prepared.data, folder, tracking, run_id)
            # After what takes long, in which MLflow may have come back.
            _send_lost(tracking, run_id, open_run, folder, [*pictures, *names])
            for past in past_reports(final.checkpoint):
                tracking.log_evaluation(run_id, past.step, past.metrics, past.losses.items())
            tracking.log_files(run_id, folder, ["result.json"])
            for split, found in metrics.items():
                tracking.log_metrics(run_id, {f"{split}/{name}": v for name, v in found.items()})
        return {**result, "mlflow_lacks": bool(tracking.lost(run_id))}


def _send_lost(
    tracking: Tracking,
    run_id: str,
    open_run: Callable[[], str],
    folder: Folder,
    files: Sequence[str],
) -> None:
    """Send MLflow what it lost of a run, but for its model, and for values, which follow."""
    lost = tracking.lost(run_id)
    tracking.forget_lost(run_id)
    if "start_run" in lost:
        open_run()
    if "log_files" in lost:
        tracking.log_files(run_id, folder, files)
    if "model" in lost:
        tracking.lose(run_id, "model")


def _first_batch_pictures(
    method: Method, config: Any, prepared: Prepared, folder: Folder, seed: int
) -> list[str]:
    figures = first_batch_figures(method, config, prepared.data, seed)
    return save_figures(folder, figures, annotator=prepared.data.dataset.annotator)


def _shown(report: Report, method: Method, config: Any, prepared: Prepared) -> str:
    last = report.losses[max(report.losses)] if report.losses else {}
    losses = ", ".join(f"{name} loss {value:.4f}" for name, value in last.items())
    metric = selection_metric(method, prepared.data.dataset)
    value = report.metrics.get(metric, math.nan)
    synthetic = " (synthetic labels)" if prepared.data.dataset.is_synthetic else ""
    shown = f"validation {metric} {value:.4f}{synthetic}"
    return f"step {report.step} of {config.steps}: {losses}, {shown}"
