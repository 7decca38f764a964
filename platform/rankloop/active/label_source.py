"""Where a campaign's labels come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rankloop.active.campaign import Campaign
from rankloop.active.labels import Answer, Label


@dataclass(frozen=True)
class Answers:
    """What came back of a request, and of those before it.

    Attributes:
        labels: by question (the name of an image, or of a pair); of this request or, late, of an
            earlier one.
        asked: questions that a label is wanted for; those whose images could be shown.
        missing: those of them without a label.
        single: every answer behind the labels.
        refused: (where, reason) of what cannot be a label; nothing else of it is used.
        unusual: (where, what is odd) of answers that count all the same.
        disagreements: (question, spread), most first, of what several annotators labelled.
    """

    labels: Mapping[str, Label]
    asked: Sequence[str]
    missing: Sequence[str] = ()
    single: Sequence[Answer] = ()
    refused: Sequence[tuple[str, str]] = ()
    unusual: Sequence[tuple[str, str]] = ()
    disagreements: Sequence[tuple[str, float]] = ()


class LabelSource(Protocol):
    """Asks for labels and collects them; both may be called again and again."""

    def ask(self, campaign: Campaign, number: int, questions: Sequence[str]) -> None:
        """Ask questions on behalf of a cycle; asking twice changes nothing."""

    def answers(self, campaign: Campaign, number: int, questions: Sequence[str]) -> Answers:
        """Return what has come back of a cycle's request so far."""

    def where(self, campaign: Campaign, number: int) -> str:
        """Say where labels of a cycle's request are to be put; "" where nobody needs to."""
