"""The rows of a paper's table over several random splits of the data."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rankloop.figures import save_figures
from rankloop.locking import locked
from rankloop.methods import find_method
from rankloop.plots.comparison_plot import comparison_plot
from rankloop.storage import Folder
from rankloop.training.experiment import Prepared, write_result
from rankloop.tuning.comparison import Row, run_comparison
from rankloop.tuning.report import test_metric


def run_split_comparison(
    method: str,
    base: Any,
    rows: Sequence[Row],
    seeds: Sequence[int],
    splits: Sequence[int],
    prepare: Callable[[int], Prepared],
    folder: Folder,
    storage: Folder,
    at_once: int,
    data_workers: int | None = None,
    *,
    note: str,
) -> dict[str, Any]:
    """Compare rows on every split, one split after the other, and return all values together.

    The papers' protocol: split by reference image, again and again, and take the median. Each split
    has a comparison of its own in ``folder/split-K``; ``result["metrics"]`` has, per row, the
    values of all splits and seeds.

    Args:
        method: name of the method.
        base: configuration that the rows' values are laid over.
        rows: of the table.
        seeds: of initial weights and order of examples, for each split.
        splits: seeds of the splits.
        prepare: seed of a split to its data.
        folder: result folder.
        storage: the storage that holds it.
        at_once: runs at once.
        data_workers: see `run_comparison`.
        note: see `run_comparison`.

    Raises:
        SweepError: all runs of a split failed.
        LockedError: another driver is at work on this comparison.
    """
    results = []
    with locked(folder):
        for number, split in enumerate(splits, 1):
            print(f"split {split} ({number} of {len(splits)})", flush=True)
            prepared = prepare(split)
            results.append(
                run_comparison(
                    method,
                    base,
                    rows,
                    seeds,
                    prepared,
                    folder / f"split-{split}",
                    storage,
                    at_once,
                    data_workers,
                    note=note,
                )
            )
        metrics = {row.name: _together([result["metrics"][row.name] for result in results])
                   for row in rows}  # fmt: skip
        dataset = prepared.data.dataset
        result = write_result(
            folder,
            find_method(method),
            base,
            dataset,
            seeds=list(seeds),
            metrics=metrics,
            more={
                **{key: results[0][key] for key in ("selection_metric", "note", "rows", "paper")},
                "splits": list(splits),
                "failures": [entry for found in results for entry in found["failures"]],
            },
        )
        save_comparison_plot(result, folder)
        result["mlflow_comparison"] = results[-1]["mlflow_comparison"]
        result["mlflow_lacks"] = any(found["mlflow_lacks"] for found in results)
    return result


def save_comparison_plot(result: Mapping[str, Any], folder: Folder) -> None:
    """Draw the test metric of all rows, with the paper's numbers beside, as ``comparison.png``."""
    tests = [found["test"] for found in result["metrics"].values()]
    metric = test_metric(tests) or result["selection_metric"]
    known = {
        name: [value for value in found["test"].get(metric, []) if value is not None]
        for name, found in result["metrics"].items()
    }
    figure = comparison_plot(known, result["paper"], metric)
    save_figures(folder, {"comparison.png": figure}, annotator=result["data"]["annotator"])


def merged_results(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of several methods as one, with the rows of all; else as the last."""
    together = dict(results[-1])
    for key in ("metrics", "rows", "paper"):
        together[key] = {name: value for result in results for name, value in result[key].items()}
    together["failures"] = [entry for result in results for entry in result["failures"]]
    together["mlflow_lacks"] = any(result["mlflow_lacks"] for result in results)
    together["method"] = " and ".join(result["method"] for result in results)
    return together


# Split to metric to values.
_Metrics = dict[str, dict[str, list[float]]]


def _together(found: Sequence[_Metrics]) -> _Metrics:
    collected: _Metrics = {"validation": {}, "test": {}}
    for metrics in found:
        for split, values in metrics.items():
            for name, some in values.items():
                collected.setdefault(split, {}).setdefault(name, []).extend(some)
    return collected
