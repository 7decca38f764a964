"""One configuration, trained from start to end or from wherever it was cut off."""

from typing import Any

from rankloop.cluster import connected, data_workers_per_gpu, gpus_per_run
from rankloop.datasets.dataset import Dataset
from rankloop.locking import locked
from rankloop.methods.method import Method
from rankloop.storage import Folder
from rankloop.streams.shared_images import share_images
from rankloop.tracking import Tracking, open_tracking
from rankloop.training.checkpoints import load_latest
from rankloop.training.distributed import train_distributed
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import Prepared, write_result
from rankloop.training.final import FinalModel, final_model
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
        run_id = tracking.start_run(
            method.name,
            f"train {folder.name}",
            key=str(folder),
            params={**config.model_dump(mode="json"), "seed": seed},
            tags={
                "annotator": prepared.data.dataset.annotator,
                "data": prepared.data.dataset.name,
            },
        )
        # Workers' warnings do not reach the terminal: a damaged checkpoint is named from here.
        load_latest(folder / "checkpoints")
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
                on_report=lambda report: _show(
                    tracking, run_id, report, config.steps, prepared.data.dataset
                ),
            )
            final = final_model(method, config, folder, prepared.data)
            result = write_result(
                folder, method, config, prepared.data.dataset, seeds=[seed], metrics=final.metrics
            )
            _track(method, tracking, run_id, folder, prepared, final)
        return result


def _show(tracking: Tracking, run_id: str, report: Report, steps: int, dataset: Dataset) -> bool:
    tracking.log_evaluation(run_id, report.step, report.metrics, report.losses.items())
    last = report.losses[max(report.losses)] if report.losses else {}
    losses = ", ".join(f"{name} loss {value:.4f}" for name, value in last.items())
    metric = selection_metric(dataset)
    value = report.metrics.get(metric, float("nan"))
    synthetic = " (synthetic labels)" if dataset.is_synthetic else ""
    print(
        f"step {report.step} of {steps}: {losses}, validation {metric} {value:.4f}{synthetic}",
        flush=True,
    )
    return True


def _track(
    method: Method,
    tracking: Tracking,
    run_id: str,
    folder: Folder,
    prepared: Prepared,
    final: FinalModel,
) -> None:
    publish(method, final, prepared.data, folder, tracking, run_id)
    tracking.log_files(run_id, folder, ["result.json"])
    for split, metrics in final.metrics.items():
        tracking.log_metrics(run_id, {f"{split}/{name}": v for name, v in metrics.items()})
