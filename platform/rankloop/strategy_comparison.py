"""Ways of selecting what to label, compared on whole campaigns with the same data and budget."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rankloop.active.campaign import Campaign, Plan, described
from rankloop.active.conductor import Orders, drive_by_actor
from rankloop.active.cycle import Resources
from rankloop.active.new_campaign import create_campaign
from rankloop.active.selection import Strategy
from rankloop.active.view import curve
from rankloop.cluster import connected
from rankloop.figures import save_figures
from rankloop.methods.method import Method
from rankloop.metrics import direction, metric_title
from rankloop.plots.learning_curve import learning_curve
from rankloop.storage import Folder, open_folder
from rankloop.tracking import ui_command
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import prepare_data, result_folder, write_result
from rankloop.tuning.report import spread, table

# Of a campaign: an entry per cycle; and of each way of selecting, one per seed.
_Curve = Sequence[Mapping[str, Any]]
_Curves = dict[str, list[_Curve]]


def compare_strategies(
    job: str,
    method: Method,
    options: Any,
    *,
    strategies: Sequence[Strategy],
    cycles: int,
    share: float,
    pairs: int,
    note: str,
) -> str:
    """Run a campaign for each seed and strategy, or go on with what was cut off.

    Prints a table of the learning curves and returns the folder of the results, which holds the
    campaigns, too.

    Args:
        job: name of the job, and of the folder of its results.
        method: what is trained.
        options: ComparisonOptions with the method's ``config``.
        strategies: to compare.
        cycles: T of Algorithm 1.
        share: of the items that are labelled at first, and that each cycle asks about: S.
        pairs: K of eq. 15.
        note: what a reader must know of the paper's numbers.

    Raises:
        ConfigError: the method cannot learn from as few labels as the campaigns begin with.
        LockedError: another driver is at work on one of them.
    """
    config = options.config
    identity = {
        "config": config.model_dump(mode="json"),
        "data": options.data,
        "seeds": options.seeds,
        "strategies": list(strategies),
        "cycles": cycles,
        "share": share,
        "pairs": pairs,
    }
    first = prepare_data(options.data, method, config)
    dataset = first.data.dataset
    folder = result_folder(options.storage, job, method.name, first, identity)
    storage = open_folder(options.storage)
    orders = Orders(cycles, Resources(options.workers, options.data_workers))
    curves: _Curves = {name: [] for name in strategies}
    with connected():
        for seed in sorted(options.seeds):
            for strategy in strategies:
                print(f"{strategy} selection, seed {seed}", flush=True)
                own = folder / f"{strategy}-seed-{seed}"
                plan = _plan(method, options, dataset, strategy, seed, share, pairs)
                campaign = create_campaign(own, plan, dataset)
                drive_by_actor(own, storage, orders, lambda line: print(line, flush=True))
                curves[strategy].append(curve(campaign))
    metric = selection_metric(method, dataset)
    write_result(
        folder,
        method,
        config,
        dataset,
        seeds=sorted(options.seeds),
        metrics={name: {"test": _by_cycle(found, metric)} for name, found in curves.items()},
        more={"selection_metric": metric, "cycles": cycles, "share": share, "note": note},
    )
    _draw(folder, method, campaign, metric, curves)
    print(_report(method, campaign, metric, curves, options, note))
    print(f"see the campaigns in MLflow: {ui_command(storage)}")
    return str(folder)


def _by_cycle(found: Sequence[_Curve], metric: str) -> dict[str, list[float]]:
    """Test metrics by cycle and share that is labelled: the value of each seed."""
    return {
        f"{key}/cycle {entries[0]['cycle']}, {100 * entries[0]['share']:.3g} %": [
            entry["metrics"]["test"][key] for entry in entries
        ]
        for entries in zip(*found, strict=True)
        for key in _shown(metric)
    }


def _plan(
    method: Method,
    options: Any,
    dataset: Any,
    strategy: Strategy,
    seed: int,
    share: float,
    pairs: int,
) -> Plan:
    return Plan(
        method=method.name,
        config=options.config.model_dump(mode="json"),
        strategy=strategy,
        labelling="held_out",
        start=share,
        step=share,
        seed=seed,
        warm_start=True,
        pairs=pairs,
        dataset=described(dataset),
    )


def _shown(metric: str) -> list[str]:
    return [metric, "rmse"] if metric == "mae" else [metric]


def _draw(
    folder: Folder,
    method: Method,
    campaign: Campaign,
    metric: str,
    curves: _Curves,
) -> None:
    lines = {
        name: [
            (entries[0]["share"], statistics.fmean(e["metrics"]["test"][metric] for e in entries))
            for entries in zip(*found, strict=True)
        ]
        for name, found in curves.items()
    }
    figure = learning_curve(
        lines,
        metric=f"test {metric_title(metric)}, {direction(metric)}",
        title=f"{method.name} on {campaign.dataset.name}",
    )
    save_figures(folder, {"learning_curves.png": figure}, annotator=campaign.dataset.annotator)


def _report(
    method: Method,
    campaign: Campaign,
    metric: str,
    curves: _Curves,
    options: Any,
    note: str,
) -> str:
    names = _shown(metric)
    some = next(iter(curves.values()))
    rows = [
        [
            f"{100 * some[0][place]['share']:.0f} %",
            *(
                spread([found[place]["metrics"]["test"][name] for found in of_strategy])
                for name in names
                for of_strategy in curves.values()
            ),
        ]
        for place in range(len(some[0]))
    ]
    header = [f"test {metric_title(name)}, {strategy}" for name in names for strategy in curves]
    return "\n".join(
        [
            "",
            f"{method.name} on {campaign.dataset.name} (labels: {campaign.dataset.annotator}), "
            f"seeds {sorted(options.seeds)}, {options.config.steps} steps per cycle; mean ± "
            "standard deviation over seeds",
            "",
            table(["labelled", *header], rows),
            "",
            note,
        ]
    )
