"""Where a campaign stands, as a few lines of text."""

from collections.abc import Sequence
from typing import Any

from rankloop.active.answer_notes import answer_notes
from rankloop.active.campaign import SELECTED, TRAINED, Campaign
from rankloop.active.label_source import Answers, LabelSource
from rankloop.active.view import CURVES, curve, siblings
from rankloop.cluster import job_command
from rankloop.metrics import metric_title
from rankloop.shown import in_line
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
        others = {
            other.plan.strategy: {entry["cycle"]: entry for entry in curve(other)}
            for other in siblings(campaign)
        }
        known = [name for name in CURVES if entries[0]["metrics"]["test"].get(name) is not None]
        header = ["cycle", "labelled items", "labels"]
        for of in ["test", *others]:
            header += [f"{of} {metric_title(name)}" for name in known]
        rows = [
            [
                str(entry["cycle"]),
                f"{entry['labelled_items']} ({100 * entry['share']:.0f} %)",
                str(entry["labels"]),
                *_metrics(entry, known),
                *(
                    value
                    for entries_of in others.values()
                    for value in _metrics(entries_of.get(entry["cycle"]), known)
                ),
            ]
            for entry in entries
        ]
        lines += ["", table(header, rows), ""]
        score = job_command("jobs/score.py", str(campaign.folder), "PHOTOS")
        lines.append(f"score with its newest model: {score}")
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
    if answers.missing and len(answers.missing) < wanted:
        lines.append(f"missing: {_some(answers.missing)}")
    return "\n".join([*lines, *answer_notes(campaign, answers)])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return in_line(", ".join(names[:_LISTED])) + more


def _metrics(entry: dict[str, Any] | None, names: Sequence[str]) -> list[str]:
    test = entry["metrics"]["test"] if entry else {}
    return [_number(test.get(name)) for name in names]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
