"""Votes of several annotators on pairs, made into one label per pair."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Vote:
    """One annotator's opinion on one pair.

    Attributes:
        image_a, image_b: the two images, in any order.
        better: the one judged better; None for "no difference".
        annotator: who voted; None when unknown.
    """

    image_a: str
    image_b: str
    better: str | None
    annotator: str | None = None


def majority(votes: Iterable[Vote]) -> tuple[list[tuple[str, str]], int]:
    """Return one label per pair by majority of its annotators (SSRanking paper, section 2).

    (a, b) and (b, a) are the same pair. An annotator counts once per pair, with the last vote, so
    repeated lines change nothing; a vote without annotator counts by itself. A vote for "no
    difference" favours neither image.

    Returns:
        labels: (better, worse) per pair that has a majority, in order of first mention.
        ties: number of pairs without a majority, which are dropped.
    """
    opinions: dict[tuple[str, str], dict[str | int, str | None]] = {}
    for number, vote in enumerate(votes):
        pair = min(vote.image_a, vote.image_b), max(vote.image_a, vote.image_b)
        voter = number if vote.annotator is None else vote.annotator
        opinions.setdefault(pair, {})[voter] = vote.better
    labels, ties = [], 0
    for (a, b), by_voter in opinions.items():
        chosen = list(by_voter.values())
        lead = chosen.count(a) - chosen.count(b)
        if lead == 0:
            ties += 1
        else:
            labels.append((a, b) if lead > 0 else (b, a))
    return labels, ties
