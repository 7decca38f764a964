"""What there is to look at of a campaign: its learning curve, pictures, and runs in MLflow.

All of it is made from the campaign's files, and can be made again from them.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rankloop.active.campaign import (
    DONE,
    PLAN,
    SCORES,
    SELECTED,
    TRAINED,
    Campaign,
    open_campaign,
)
from rankloop.errors import ImageError, RankloopError, StorageError
from rankloop.figures import save_figures
from rankloop.images import fit
from rankloop.metrics import direction, metric_title
from rankloop.plots.contact_sheet import contact_sheet
from rankloop.plots.learning_curve import learning_curve
from rankloop.storage import Folder, read_parquet
from rankloop.tracking import Tracking, data_tags, open_tracking
from rankloop.tracking.runs import COMPLETE

CURVES = ("mae", "rmse", "srocc", "plcc", "pair_accuracy")
_SHOWN, _SIDE = 24, 128
_log = logging.getLogger("rankloop")


def curve(campaign: Campaign) -> list[dict[str, Any]]:
    """Return what every training so far found: cycle, share, labels and test metrics."""
    found = []
    number = 1
    while campaign.cycle(number).has(TRAINED):
        trained = campaign.cycle(number).read_json(TRAINED)
        found.append({"cycle": number, **trained})
        number += 1
    return found


def siblings(campaign: Campaign) -> list[Campaign]:
    """Return the campaigns beside this one that differ only in how they select, one per way."""
    found: dict[str, Campaign] = {}
    parent = Folder(
        campaign.folder.filesystem,
        campaign.folder.path.rpartition("/")[0],
        campaign.folder.uri.rpartition("/")[0],
    )
    for name in parent.names():
        folder = parent / name
        if name == campaign.folder.name or not folder.has(PLAN):
            continue
        try:
            other = open_campaign(folder)
        except StorageError:
            continue
        same = {**vars(other.plan), "strategy": campaign.plan.strategy} == vars(campaign.plan)
        if same and other.plan.strategy != campaign.plan.strategy:
            found.setdefault(other.plan.strategy, other)
    return [found[strategy] for strategy in sorted(found)]


def show(campaign: Campaign, storage: Folder, *, everything: bool = False) -> None:
    """Draw a campaign's pictures and bring its runs in MLflow up to date.

    A failure of MLflow is a warning: the next call brings in what is missing. Cycles that MLflow
    has whole are left out, unless ``everything`` is to be written again.
    """
    # In one order, so that a strategy has its colour in all figures.
    family = sorted([campaign, *siblings(campaign)], key=lambda one: one.plan.strategy)
    for one in family:
        _draw_curve(one, family)
    for number in range(campaign.cycles_done() + 1):
        _draw_selected(campaign, number)
    try:
        # The next cycle brings in what is missing; who asks for everything waits for it.
        tracking = open_tracking(storage, patience=None if everything else 0.0)
    except RankloopError as error:
        _log.warning("MLflow is left out for now: %s", error)
        return
    if tracking.is_away:
        return
    _track(campaign, tracking, everything)


def _draw_curve(campaign: Campaign, family: Sequence[Campaign]) -> None:
    curves: dict[str, list[dict[str, Any]]] = {one.plan.strategy: curve(one) for one in family}
    figures = {}
    for metric in CURVES:
        lines = {
            name: [
                (entry["share"], entry["metrics"]["test"][metric])
                for entry in entries
                if entry["metrics"]["test"].get(metric) is not None
            ]
            for name, entries in curves.items()
        }
        if any(lines.values()):
            figures[f"learning_curve_{metric}.png"] = learning_curve(
                lines,
                metric=f"test {metric_title(metric)}, {direction(metric)}",
                title=f"{campaign.plan.method} on {campaign.plan.dataset['name']}",
            )
    save_figures(campaign.folder, figures, annotator=campaign.dataset.annotator)


def _draw_selected(campaign: Campaign, number: int) -> None:
    folder = campaign.cycle(number)
    if not folder.has(SELECTED) or (folder / "plots").has("selected.png"):
        return
    certainties = _certainties(folder)
    load, images, values = campaign.data({}).load, [], []
    for name in campaign.selected(number)[:_SHOWN]:
        try:
            rows = campaign.items[name].rows
            # Of several levels the worst shows best what was asked about.
            shown = rows if campaign.asks_pairs else rows[-1:]
            images.append(np.hstack([fit(load(row), None, _SIDE) for row in shown]))
        except ImageError:
            continue
        values.append(certainties.get(name, math.nan))
    if images:
        figure = contact_sheet(
            np.stack(images),
            values,
            columns=4 if campaign.asks_pairs else 8,
            higher_is_better=False,
            title=f"selected in cycle {number}, with certainty",
        )
        annotator = campaign.dataset.annotator
        save_figures(folder, {"selected.png": figure}, annotator=annotator)


def _certainties(folder: Folder) -> Mapping[str, float]:
    if not folder.has(SCORES):
        return {}
    rows = read_parquet(folder, SCORES).to_pylist()
    return {row["item"]: row["certainty"] for row in rows if row["certainty"] is not None}


def _track(campaign: Campaign, tracking: Tracking, everything: bool) -> None:
    plan, folder = campaign.plan, campaign.folder
    parent = tracking.start_run(
        plan.method,
        f"campaign {folder.name}",
        key=str(folder),
        params={
            "config": plan.config,
            "data": plan.dataset["name"],
            "strategy": plan.strategy,
            "labelling": plan.labelling,
            "start_share": plan.start,
            "cycle_share": plan.step,
            "certainty_pairs": plan.pairs,
            "from_scratch": not plan.warm_start,
            "seed": plan.seed,
            **plan.options,
        },
        tags={**data_tags(campaign.dataset), "strategy": plan.strategy},
    )
    with tracking.ending(parent):
        entries = curve(campaign)
        tracking.log_points(
            parent,
            [
                (name, value, entry["cycle"])
                for entry in entries
                for name, value in [
                    *((f"test/{name}", value) for name, value in entry["metrics"]["test"].items()),
                    ("labels", entry["labels"]),
                    ("share", entry["share"]),
                ]
                if value is not None
            ],
        )
        pictures = [f"plots/{name}" for name in (folder / "plots").names()]
        if (campaign.cycle(0) / "plots").has("selected.png"):
            # What the campaign began with has no run of its own.
            pictures.append(f"{campaign.cycle(0).name}/plots/selected.png")
        tracking.log_files(parent, folder, [PLAN, *pictures])
        for entry in entries:
            if everything or not tracking.has_tag(plan.method, _key(campaign, entry), COMPLETE):
                _track_cycle(campaign, tracking, parent, entry)


def _track_cycle(
    campaign: Campaign, tracking: Tracking, parent: str, entry: Mapping[str, Any]
) -> None:
    folder = campaign.cycle(entry["cycle"])
    # Before its files are read: what comes later is brought in the next time.
    complete = folder.has(DONE)
    child = tracking.start_run(
        campaign.plan.method,
        f"{campaign.folder.name} cycle {entry['cycle']}",
        key=_key(campaign, entry),
        parent=parent,
        params={"cycle": entry["cycle"], "strategy": campaign.plan.strategy},
        tags=data_tags(campaign.dataset),
    )
    with tracking.ending(child):
        metrics = {
            f"{split}/{name}": value
            for split, found in entry["metrics"].items()
            for name, value in found.items()
            if value is not None
        }
        seconds = dict(entry["seconds"])
        if folder.has(SELECTED):
            seconds |= folder.read_json(SELECTED)["seconds"]
        certainties = list(_certainties(folder).values())
        if certainties:
            metrics["certainty/mean"] = float(np.mean(certainties))
        metrics |= {f"seconds/{name}": value for name, value in seconds.items()}
        metrics |= {"share": entry["share"], "labels": entry["labels"]}
        tracking.log_metrics(child, metrics)
        names = [name for name in (TRAINED, SELECTED, SCORES, DONE) if folder.has(name)]
        pictures = [f"plots/{name}" for name in (folder / "plots").names()]
        tracking.log_files(child, folder, [*names, *pictures])
        if complete and not tracking.lost(child):
            tracking.set_tags(child, {COMPLETE: "true"})


def _key(campaign: Campaign, entry: Mapping[str, Any]) -> str:
    return str(campaign.cycle(entry["cycle"]))
