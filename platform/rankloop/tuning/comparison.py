"""The rows of a paper's table, trained alike and compared."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankloop.cluster import connected, data_workers_per_gpu, gpus_per_run
from rankloop.errors import SweepError
from rankloop.figures import save_figures
from rankloop.locking import locked
from rankloop.methods import find_method
from rankloop.plots.comparison_plot import comparison_plot
from rankloop.storage import Folder
from rankloop.streams.shared_images import share_images
from rankloop.tracking import data_tags, open_tracking
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import Prepared, write_result
from rankloop.training.loop import Schedule
from rankloop.tuning.report import test_metric
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import train_runs
from rankloop.tuning.suggestions import FixedRuns, Run
from rankloop.tuning.watcher import TrackingWatcher


@dataclass(frozen=True)
class Row:
    """One row of a comparison.

    Attributes:
        name: as in the paper's table.
        values: configuration fields that make it.
        paper: the paper's numbers, by column.
    """

    name: str
    values: Mapping[str, Any]
    paper: Mapping[str, float]


def run_comparison(
    method: str,
    base: Any,
    rows: Sequence[Row],
    seeds: Sequence[int],
    prepared: Prepared,
    folder: Folder,
    storage: Folder,
    at_once: int,
    data_workers: int | None = None,
    *,
    note: str,
) -> dict[str, Any]:
    """Train every row with every seed, or go on where it was cut off, and return the result.

    Data, split and budget are the same for all; the seed changes initial weights and the order of
    examples. ``result["metrics"]`` has, per row: split, then metric, then the value of each seed.
    ``note`` says what a reader of the report must know of the paper's numbers.

    Raises:
        SweepError: all runs failed.
        LockedError: another driver is at work on this comparison.
    """
    with locked(folder), connected():
        tracking = open_tracking(storage)
        context = RunContext(
            method=method,
            base=base,
            data=share_images(prepared.data, prepared.array),
            folder=folder,
            schedule=Schedule(
                evaluate_every=max(1, base.steps // 4), checkpoint_every=max(1, base.steps // 4)
            ),
            metric=selection_metric(find_method(method), prepared.data.dataset),
            gpus=gpus_per_run(),
            data_workers=data_workers_per_gpu() if data_workers is None else data_workers,
            splits=("validation", "test"),
        )
        parent = tracking.start_run(
            method,
            f"comparison {folder.name}",
            key=str(folder),
            params={**base.model_dump(mode="json"), "seeds": list(seeds)},
            tags=data_tags(prepared.data.dataset),
        )
        # Seed by seed, so that a comparison cut short has all rows of the first seeds.
        runs = [Run(run_name(row, seed), dict(row.values), seed) for seed in seeds for row in rows]
        with tracking.ending(parent):
            watcher = TrackingWatcher(tracking, context, parent, len(runs))
            left = watcher.unfinished(runs)
            try:
                train_runs(context, FixedRuns(left), at_once=at_once, watcher=watcher)
            except SweepError:
                # What failed again is listed; the others are worth a table.
                if len(left) == len(runs):
                    raise
            watcher.add_results()
            metrics = {row.name: _row_metrics(context, row, seeds) for row in rows}
            result = write_result(
                folder,
                find_method(method),
                base,
                prepared.data.dataset,
                seeds=list(seeds),
                metrics=metrics,
                more={
                    "selection_metric": context.metric,
                    "note": note,
                    "rows": {row.name: dict(row.values) for row in rows},
                    "paper": {row.name: dict(row.paper) for row in rows},
                    "failures": watcher.failures,
                },
            )
            metric = test_metric(found["test"] for found in metrics.values()) or context.metric
            figure = comparison_plot(
                {name: found["test"].get(metric, []) for name, found in metrics.items()},
                {row.name: dict(row.paper) for row in rows},
                metric,
            )
            annotator = prepared.data.dataset.annotator
            files = save_figures(folder, {"comparison.png": figure}, annotator=annotator)
            tracking.log_files(parent, folder, [*files, "result.json"])
            for name, found in metrics.items():
                for split, values in found.items():
                    tracking.log_metrics(
                        parent,
                        {
                            f"{name}/{split}/{k}{what}": float(summary(v))
                            for k, v in values.items()
                            for what, summary in (("", np.nanmean), ("/std", _deviation))
                            if v
                        },
                    )
            page = tracking.comparison_url(parent, list(watcher.run_ids.values()))
            result["mlflow_comparison"] = page
        result["mlflow_lacks"] = bool(watcher.lacking or tracking.lost(parent))
        return result


def _deviation(values: Sequence[float]) -> float:
    return float(np.nanstd(values, ddof=1)) if len(values) > 1 else math.nan


def run_name(row: Row, seed: int) -> str:
    """Name of the run of a row with a seed."""
    plain = re.sub(r"[^a-z0-9]+", "-", row.name.lower()).strip("-")
    return f"{plain}-seed-{seed}"


def _row_metrics(
    context: RunContext, row: Row, seeds: Sequence[int]
) -> dict[str, dict[str, list[float]]]:
    collected: dict[str, dict[str, list[float]]] = {"validation": {}, "test": {}}
    for seed in seeds:
        run = context.run_folder(run_name(row, seed))
        found = run.read_json("result.json") if run.has("result.json") else {}
        if found.get("steps_trained") != context.base.steps:
            # This run failed; the result's list of failures says why.
            continue
        for split, metrics in found["metrics"].items():
            for name, value in metrics.items():
                known = math.nan if value is None else value
                collected.setdefault(split, {}).setdefault(name, []).append(known)
    return collected
