"""A method trained on each of several datasets and evaluated on all others."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from rankloop.locking import locked
from rankloop.methods import find_method
from rankloop.randomness import derived_seed
from rankloop.storage import Folder
from rankloop.training.checkpoints import load_latest, restored_model
from rankloop.training.cross_dataset import cross_dataset_metrics
from rankloop.training.experiment import Prepared, json_safe, write_result
from rankloop.tuning.comparison import Row, run_name
from rankloop.tuning.split_comparison import run_split_comparison

# Of a run: metrics on the datasets that it was not trained on, by their names.
CROSS = "cross.json"


def run_cross_comparison(
    method: str,
    base: Any,
    prepare: Mapping[str, Callable[[int], Prepared]],
    seeds: Sequence[int],
    splits: Sequence[int],
    folder: Folder,
    storage: Folder,
    at_once: int,
    data_workers: int | None = None,
    *,
    paper: Mapping[str, Mapping[str, float]],
    note: str,
) -> dict[str, Any]:
    """Train on the training split of every dataset and evaluate on all images of every other.

    ``result["metrics"]`` has, per dataset that was trained on: dataset evaluated on (its own: its
    test split), then metric, then the values of all splits and seeds.

    Args:
        method: name of the method.
        base: its configuration.
        prepare: dataset name to (seed of a split) to data.
        seeds: of initial weights and order of examples, for each split.
        splits: seeds of the splits.
        folder: result folder.
        storage: the storage that holds it.
        at_once: runs at once.
        data_workers: see `run_comparison`.
        paper: the paper's SROCC, by dataset trained on and dataset evaluated on.
        note: what a reader must know of the paper's numbers.

    Raises:
        SweepError: all runs of a split failed.
        LockedError: another driver is at work on this comparison.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    failures: list[dict[str, str]] = []
    lacks = False
    with locked(folder):
        for name, prepared in prepare.items():
            print(f"training on {name}", flush=True)
            own = folder / _folder_name(name)
            row = Row("trained", {}, {})
            result = run_split_comparison(
                method,
                base,
                [row],
                seeds,
                splits,
                prepared,
                own,
                storage,
                at_once,
                data_workers,
                note=note,
            )
            failures += result["failures"]
            lacks |= result["mlflow_lacks"]
            found[name] = {name: result["metrics"][row.name]["test"]}
            for split in splits:
                for seed in seeds:
                    run = own / f"split-{split}" / "runs" / run_name(row, seed)
                    for other, metrics in _evaluated(
                        method, base, run, name, prepare, splits[0], split
                    ).items():
                        for metric, value in metrics.items():
                            values = found[name].setdefault(other, {}).setdefault(metric, [])
                            values.append(value)
        first = next(iter(prepare.values()))(splits[0])
        result = write_result(
            folder,
            find_method(method),
            base,
            first.data.dataset,
            seeds=list(seeds),
            metrics=found,
            more={
                "splits": list(splits),
                "note": note,
                "paper": {name: dict(values) for name, values in paper.items()},
                "failures": failures,
            },
        )
        result["mlflow_lacks"] = lacks
        return result


def _evaluated(
    method: str,
    base: Any,
    run: Folder,
    name: str,
    prepare: Mapping[str, Callable[[int], Prepared]],
    first: int,
    split: int,
) -> dict[str, dict[str, float]]:
    """Metrics of a run on every other dataset; those that are there are not computed again."""
    checkpoint = load_latest(run / "checkpoints", training=False)
    if checkpoint is None or checkpoint.step != base.steps:
        # It failed; the result's list of failures says why.
        return {}
    known: dict[str, dict[str, float]] = run.read_json(CROSS) if run.has(CROSS) else {}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = restored_model(find_method(method), base, checkpoint).to(device)
    for other, prepared in prepare.items():
        if other in known or other == name:
            continue
        print(f"evaluating the model of {name} on {other}", flush=True)
        metrics = cross_dataset_metrics(
            find_method(method),
            base,
            model,
            prepare[name](split).data,
            # All its images, whatever their split.
            prepared(first).data,
            device,
        )
        known[other] = json_safe(metrics)
        run.write_json(CROSS, known)
    return known


def _folder_name(name: str) -> str:
    # Names that differ in signs only are of different data.
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    return f"{readable[-60:]}-{derived_seed(0, name):08x}"
