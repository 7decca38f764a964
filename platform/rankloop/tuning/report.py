"""What a training, a sweep or a comparison found, as a few lines of text."""

import math
import statistics
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rankloop.cluster import job_command, on_cluster
from rankloop.metrics import higher_is_better, metric_title, turned
from rankloop.storage import Folder
from rankloop.tracking import ui_command
from rankloop.training.count_errors import RANGES

# Characters of a hyperparameter's value.
_LONGEST = 40
_ROLES = {
    "best": "best trial",
    "best_supervised": "best trial, {}",
    "paper": "paper's configuration",
    "paper_supervised": "paper's, {} (baseline)",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in [header, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def training_report(result: Mapping[str, Any], folder: Folder, storage: Folder) -> str:
    """Return the lines that end a training."""
    lines = [
        f"{split} (labels: {result['data']['annotator']}): "
        + ", ".join(
            f"{metric_title(name)} {_number(value)}"
            for name, value in metrics.items()
            if "/" not in name
        )
        for split, metrics in result["metrics"].items()
    ]
    test = result["metrics"].get("test", {})
    kinds = [name.removeprefix("srocc/") for name in test if name.startswith("srocc/")]
    if kinds:
        rows = [[k, _number(test[f"srocc/{k}"]), _number(test[f"plcc/{k}"])] for k in kinds]
        lines += ["", table(["test by distortion", "SROCC", "PLCC"], rows), ""]
    kinds = [name.removeprefix("mae/") for name in test if name.startswith("mae/")]
    if kinds:
        rows = [[k, _number(test[f"mae/{k}"]), *_spread_of(test, k)] for k in kinds]
        lines += [
            "",
            table(["test error by count or scene", "MAE", "standard deviation"], rows),
            "",
        ]
    replaced = result["replaced_images"]
    if replaced:
        lines.append(
            f"{len(replaced)} images could no longer be read while training, and others took their "
            f"place ({sum(replaced.values())} times in all; result.json lists them): "
            f"{', '.join(list(replaced)[:3])}{', ...' if len(replaced) > 3 else ''}"
        )
    return "\n".join([*lines, *_closing(result, folder, storage)])


def sweep_report(result: Mapping[str, Any], folder: Folder, storage: Folder) -> str:
    """Return the report that ends a sweep."""
    metric, trials = result["selection_metric"], result["trials"]
    shown = test_metric(found["test"] for found in result["metrics"].values()) or metric
    tests = [shown, *(["rmse"] if shown == "mae" else [])]
    rows = [
        [
            _ROLES[role].format(result["baseline"]),
            _number(found["validation"].get(metric)),
            *(_number(found["test"].get(test)) for test in tests),
        ]
        for role, found in result["metrics"].items()
    ]
    header = [f"validation {metric_title(metric)}", *(f"test {metric_title(t)}" for t in tests)]
    values = [
        [name, _short(value), _short(result["paper_values"].get(name, ""))]
        for name, value in result["best_values"].items()
    ]
    return "\n".join(
        [
            "",
            f"Sweep of {result['method']} on {result['data']['name']} "
            f"(labels: {result['data']['annotator']}), seed {result['seeds'][0]}, "
            f"{result['budget']['steps']} steps per trial, {_network(result)}",
            f"trials: {trials['finished']} finished, {trials['stopped_early']} stopped early, "
            f"{trials['failed']} failed{_interrupted(trials['to_go_on_with'])}",
            "",
            table(["", *header], rows),
            "",
            table([f"best: trial {result['best_trial']}", "best", "paper's"], values),
            "",
            f"The paper's configuration is trained with this network and budget. {result['note']}",
            *_warning(result),
            *_closing(result, folder, storage),
        ]
    )


def _interrupted(trials: int) -> str:
    return f", {trials} to go on with (run the same command again)" if trials else ""


def _network(result: Mapping[str, Any]) -> str:
    config = result["config"]
    if "short_side" in config:
        return f"{config['backbone']} on shorter sides of {config['short_side']} pixels"
    return f"{config['backbone']} on {config['input_size']} x {config['input_size']} pixels"


def _warning(result: Mapping[str, Any]) -> list[str]:
    metric, found = result["selection_metric"], result["metrics"]
    best, without = (
        found.get(role, {}).get("validation", {}).get(metric)
        for role in ("best", "best_supervised")
    )
    if best is None or without is None or turned(metric, without) <= turned(metric, best):
        return []
    images = result["split"]["validation"]["images"]
    return [
        f"On validation ({images} images) the best trial does better with {result['baseline']}: at "
        "this budget and on these images the method did not help it."
    ]


def comparison_report(result: Mapping[str, Any], folder: Folder, storage: Folder) -> str:
    """Return the tables that end a comparison."""
    metric, metrics = result["selection_metric"], result["metrics"]
    shown = test_metric(found["test"] for found in metrics.values()) or metric
    columns = list(dict.fromkeys(name for row in result["paper"].values() for name in row))
    columns = [column for column in columns if "/" not in column]
    beside = {"mae": "rmse", "srocc": "plcc"}.get(shown, "")
    paired = any(column.split()[-1] in ("PLCC", "LCC", "RMSE") for column in columns)
    tests = [shown, *([beside] if beside and (paired or shown == "mae") else [])]
    several = len(result.get("splits", [])) > 1
    # Of errors the papers give the mean over folds.
    summary = median if several and higher_is_better(metric) else spread
    rows = [
        [
            name,
            summary(found["validation"].get(metric, [])),
            *(_with_count(summary(found["test"].get(test, [])), found, test, result)
              for test in tests),
            *(_four_digits(result["paper"][name].get(column)) for column in columns),
        ]
        for name, found in metrics.items()
    ]  # fmt: skip
    header = [
        "",
        f"validation {metric_title(metric)}",
        *(f"test {metric_title(test)}" for test in tests),
    ]
    splits = f"splits {result['splits']}, " if several else ""
    return "\n".join(
        [
            "",
            f"{result['method']} on {result['data']['name']} "
            f"(labels: {result['data']['annotator']}), {splits}seeds {result['seeds']}, "
            f"{result['budget']['steps']} steps, {_network(result)}; "
            + (
                "median (least to most) over splits and seeds"
                if summary is median
                else f"mean ± standard deviation over {'splits and ' if several else ''}seeds"
            ),
            "",
            table([*header, *(f"paper {column}" for column in columns)], rows),
            *_by_kind(metrics, summary, "srocc", "test SROCC by distortion"),
            *_by_kind(metrics, summary, "mae", "test MAE by count or scene", result["paper"]),
            *_by_kind(metrics, summary, "mae_spread", "standard deviation of errors by count"),
            "",
            result["note"],
            *_closing(result, folder, storage),
        ]
    )


def cross_report(result: Mapping[str, Any], folder: Folder, storage: Folder) -> str:
    """Return the table that ends a comparison across datasets."""
    short = short_names(list(result["metrics"]))
    rows = []
    for name, found in result["metrics"].items():
        for other in short:
            values = found.get(other, {})
            paper = result["paper"].get(name, {}).get(other)
            rows.append(
                [
                    f"{short[name]} on {'its test split' if other == name else short[other]}",
                    median(values.get("srocc", [])),
                    median(values.get("plcc", [])),
                    "" if other == name else median(values.get("mae", [])),
                    _four_digits(paper),
                ]
            )
    return "\n".join(
        [
            "",
            f"{result['method']}, splits {result['splits']}, seeds {result['seeds']}, "
            f"{result['budget']['steps']} steps, {_network(result)}; median (least to most) over "
            "splits and seeds; mean error in units of the dataset evaluated on",
            "",
            table(["trained", "SROCC", "PLCC", "mean error", "paper SROCC"], rows),
            "",
            result["note"],
            *_closing(result, folder, storage),
        ]
    )


def short_names(sources: Sequence[str]) -> dict[str, str]:
    """Return data sources by reader and last part of their paths, where that tells them apart."""
    shortened = []
    for source in sources:
        reader, _, path = source.partition(":")
        last = path.partition("?")[0].rstrip("/").rpartition("/")[2]
        shortened.append(f"{reader}:{last}" if last else source)
    return {
        source: name if shortened.count(name) == 1 else source
        for source, name in zip(sources, shortened, strict=True)
    }


def _by_kind(
    metrics: Mapping[str, Any],
    summary: Callable[[Sequence[float | None]], str],
    metric: str,
    title: str,
    paper: Mapping[str, Mapping[str, float]] | None = None,
) -> list[str]:
    """Return a table of a metric by distortion, range of counts or scene; none where it has none.

    With the paper's numbers of the rows that have some, whose columns are named as metrics are.
    """
    start = f"{metric}/"
    found = {
        name.removeprefix(start)
        for row in metrics.values()
        for name in row["test"]
        if name.startswith(start)
    }
    if not found:
        return []
    kinds = [*(kind for kind in RANGES if kind in found), *sorted(found.difference(RANGES))]
    beside = {
        name: values
        for name, values in (paper or {}).items()
        if any(f"{start}{kind}" in values for kind in kinds)
    }
    rows = [
        [
            kind,
            *(summary(row["test"].get(f"{start}{kind}", [])) for row in metrics.values()),
            *(_four_digits(values.get(f"{start}{kind}")) for values in beside.values()),
        ]
        for kind in kinds
    ]
    return ["", table([title, *metrics, *(f"paper {name}" for name in beside)], rows)]


def spread(values: Sequence[float | None]) -> str:
    """Return mean ± standard deviation; the mean alone of a single value."""
    known = [value for value in values if value is not None]
    if not known:
        return "undefined"
    mean = f"{statistics.fmean(known):.4f}"
    return f"{mean} ± {statistics.stdev(known):.4f}" if len(known) > 1 else mean


def median(values: Sequence[float | None]) -> str:
    """Return median (least to most); a single value alone."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "undefined"
    middle = f"{statistics.median(known):.4f}"
    return f"{middle} ({min(known):.4f} to {max(known):.4f})" if len(known) > 1 else middle


def _four_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _with_count(text: str, found: Mapping[str, Any], test: str, result: Mapping[str, Any]) -> str:
    wanted = len(result["seeds"]) * max(1, len(result.get("splits", [])))
    values = found["test"].get(test, [])
    return text if len(values) in (0, wanted) else f"{text} ({len(values)} of {wanted} seeds)"


def _closing(result: Mapping[str, Any], folder: Folder, storage: Folder) -> list[str]:
    failures = result.get("failures", [])
    lines = [f"failed: {entry['run']}: {entry['error']}" for entry in failures]
    if (folder / "checkpoint").exists():
        checkpoint = str(folder / "checkpoint")
        # A submitted job's table goes beside its other results.
        table_at = () if on_cluster() else ("--output", "scores.csv")
        score = job_command("jobs/score.py", checkpoint, "PHOTOS", *table_at)
        lines += [f"checkpoint: {checkpoint}", f"score photos with it: {score}"]
    page = result.get("mlflow_comparison")
    if page == "":
        return [*lines, "MLflow lacks these runs: run the same command again when it is back"]
    lines.append(f"compare the runs in MLflow: {ui_command(storage)}")
    if page:
        lines.append(f"and open {page}")
    if result.get("mlflow_lacks"):
        lines.append("MLflow lacks some of this: run the same command again when it works")
    return lines


def test_metric(tests: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what to show of test: rankings give SROCC even where validation has pairs only."""
    names = {name for found in tests for name in found}
    return next((name for name in ("mae", "srocc") if name in names), None)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _spread_of(test: Mapping[str, Any], kind: str) -> list[str]:
    # Scenes and ranges of one image have none.
    return [_number(test[f"mae_spread/{kind}"]) if f"mae_spread/{kind}" in test else ""]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return textwrap.shorten(str(value), _LONGEST, placeholder=" …")
