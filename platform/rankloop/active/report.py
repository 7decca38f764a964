"""Where a campaign stands, as a few lines of text."""

from collections.abc import Sequence
from typing import Any

from rankloop.active.campaign import SELECTED, TRAINED, Campaign
from rankloop.active.cycle import run_folder
from rankloop.active.label_source import Answers, LabelSource
from rankloop.active.view import CURVES, curve, random_baseline
from rankloop.metrics import metric_title
from rankloop.storage import Folder
from rankloop.tracking import ui_command
from rankloop.tuning.report import table

_LISTED = 10


def status_report(campaign: Campaign, storage: Folder) -> str:
    """Return the learning curve so far, and what the campaign is at."""
    plan, done = campaign.plan, campaign.cycles_done()
    labelled = len(campaign.labelled_items(done))
    at = "comes next"
    if campaign.cycle(done).has(SELECTED):
        at = "waits for labels"
    elif campaign.cycle(done).has(TRAINED):
        at = "was the last"
    lines = [
        "",
        f"campaign {campaign.folder.name}: {plan.method} on {plan.dataset['name']} (labels: "
        f"{plan.dataset['annotator']}), {plan.strategy} selection, seed {plan.seed}, "
        f"{campaign.config.steps} steps per cycle",
        f"{labelled} of {len(campaign.items)} items labelled, cycle {done} {at}",
    ]
    entries = curve(campaign)
    if entries:
        baseline = random_baseline(campaign)
        others = {entry["cycle"]: entry for entry in curve(baseline)} if baseline else {}
        known = [name for name in CURVES if entries[0]["metrics"]["test"].get(name) is not None]
        header = ["cycle", "labelled items", "labels"]
        for of in ["test", "random"] if others else ["test"]:
            header += [f"{of} {metric_title(name)}" for name in known]
        rows = [
            [
                str(entry["cycle"]),
                f"{entry['labelled_items']} ({100 * entry['share']:.0f} %)",
                str(entry["labels"]),
                *_metrics(entry, known),
                *(_metrics(others.get(entry["cycle"]), known) if others else []),
            ]
            for entry in entries
        ]
        model = run_folder(campaign, entries[-1]["cycle"])
        lines += ["", table(header, rows), "", f"score: python jobs/score.py {model} PHOTOS"]
    return "\n".join([*lines, "", f"see it in MLflow: {ui_command(storage)}"])


def round_report(campaign: Campaign, answers: Answers | None, source: LabelSource) -> str:
    """Return what a round asks for and what it could not use."""
    if answers is None:
        left = len(campaign.pool(campaign.cycles_done()))
        if left:
            return f"nothing could be asked about: {left} items are left that cannot be read"
        return "everything is labelled: nothing is left to ask about"
    number, wanted = campaign.cycles_done(), len(answers.asked)
    lines = [
        f"cycle {number}: {wanted - len(answers.missing)} of {wanted} labels are there; put "
        f"answers to {source.where(campaign, number)}"
    ]
    if not answers.missing:
        lines.append(
            "no pair has an order so far: at least one is needed"
            if campaign.asks_pairs
            else "all labels are the same so far: at least two different ones are needed"
        )
    if answers.refused:
        lines.append(f"{len(answers.refused)} answers cannot be used:")
        lines += [f"  {where}: {reason}" for where, reason in answers.refused[:_LISTED]]
    if answers.disagreements:
        lines.append("annotators disagree most about (standard deviation):")
        lines += [f"  {name}: {spread:.3g}" for name, spread in answers.disagreements[:_LISTED]]
    return "\n".join(lines)


def _metrics(entry: dict[str, Any] | None, names: Sequence[str]) -> list[str]:
    test = entry["metrics"]["test"] if entry else {}
    return [_number(test.get(name)) for name in names]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
