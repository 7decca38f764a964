"""What annotators are asked and what answers mean: the score of an image, or the order of two."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rankloop.datasets.dataset import Labels

_VOTES = {"a": 1.0, "b": -1.0, "tie": 0.0}


@dataclass(frozen=True)
class Form:
    """A form with one line per question.

    Attributes:
        question: column that says which question it is.
        answer: column that the annotator fills in.
        sides: what the names of a question's images end in.
        task: what to do, as a sentence that goes on after "Copy form.csv, ".
        value: text to number; raises ValueError, which says what is wrong.
    """

    question: str
    answer: str
    sides: tuple[str, ...]
    task: str
    value: Callable[[Any], float]


def _score(text: Any) -> float:
    try:
        score = float(text)
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"score {text!r} is not a number")
    return score


def _vote(text: Any) -> float:
    vote = str(text).strip().lower()
    if vote not in _VOTES:
        raise ValueError(f"better {text!r} is none of a, b and tie")
    return _VOTES[vote]


FORMS: Mapping[Labels, Form] = {
    "scores": Form(
        "image",
        "score",
        ("",),
        "write a {score} for every image into the column score ({direction}{span})",
        _score,
    ),
    "pairs": Form(
        "pair",
        "better",
        ("-a", "-b"),
        "write into the column better which of the two images of every pair is better: a, b or tie",
        _vote,
    ),
}
