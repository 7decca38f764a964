"""What is said of the answers that came back."""

from typing import Any

from rankloop.active.campaign import DONE, Campaign
from rankloop.active.label_source import Answers
from rankloop.shown import in_line

_LISTED = 10


def answer_notes(campaign: Campaign, answers: Answers) -> list[str]:
    """Return lines on answers that cannot be used, are unusual or disagree.

    What the rounds of closed cycles said already is not said again.
    """
    lines: list[str] = []
    told = _told_before(campaign)
    for title, entries in (
        ("answers cannot be used", answers.refused),
        ("answers are unusual", answers.unusual),
    ):
        new = [entry for entry in entries if entry not in told]
        if new:
            lines.append(f"{len(new)} {title}:")
            lines += [
                f"  {in_line(f'{_short(campaign, where)}: {reason}')}"
                for where, reason in new[:_LISTED]
            ]
        if len(new) > _LISTED:
            lines.append(f"  and {len(new) - _LISTED} more")
    spreads = [entry for entry in answers.disagreements if entry not in told]
    if spreads:
        scale = "a 1, tie 0, b -1" if campaign.asks_pairs else "of their scores"
        lines.append(f"annotators disagree most about (standard deviation, {scale}):")
        lines += [f"  {in_line(name)}: {spread:.3g}" for name, spread in spreads[:_LISTED]]
    return lines


def _told_before(campaign: Campaign) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = set()
    for number in range(campaign.cycles_done()):
        done = campaign.cycle(number).read_json(DONE)
        for name in ("refused", "unusual", "disagreements"):
            found |= {tuple(entry) for entry in done.get(name, [])}
    return found


def _short(campaign: Campaign, where: str) -> str:
    folder, mark, options = str(campaign.folder).partition("?")
    return where.removeprefix(f"{folder}/").removesuffix(f"{mark}{options}")
