"""What annotators are asked and what answers mean: a score, the order of two images, or heads."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankloop.datasets.dataset import Labels
from rankloop.shown import quoted

_VOTES = {"a": 1.0, "b": -1.0, "tie": 0.0}
# Said of an image without heads: an empty line would be one that nobody has looked at.
_NOBODY = "none"


@dataclass(frozen=True)
class Form:
    """A form with one line per question, or per head of an image.

    Attributes:
        question: column that says which question it is.
        answer: columns that the annotator fills in; a line without any says nothing.
        sides: what the names of a question's images end in.
        task: what to do, as a sentence that goes on after "Copy form.csv, ".
        together: what becomes of the answers of several people.
        value: cells of the answer's columns to one number, or to x and y of a head, or to nothing
            where there is none; raises ValueError, which says what is wrong.
    """

    question: str
    answer: tuple[str, ...]
    sides: tuple[str, ...]
    task: str
    together: str
    value: Callable[[Sequence[Any]], tuple[float, ...]]


def _score(cells: Sequence[Any]) -> tuple[float, ...]:
    return (_number("score", cells[0]),)


def _vote(cells: Sequence[Any]) -> tuple[float, ...]:
    vote = str(cells[0]).strip().lower()
    if vote not in _VOTES:
        raise ValueError(f"better {quoted(cells[0])} is none of a, b and tie")
    return (_VOTES[vote],)


def _head(cells: Sequence[Any]) -> tuple[float, ...]:
    if str(cells[0]).strip().lower() == _NOBODY:
        if cells[1] not in (None, ""):
            raise ValueError(f"y {quoted(cells[1])} beside x {cells[0]!r}: leave it empty")
        return ()
    return _number("x", cells[0]), _number("y", cells[1])


def _number(name: str, text: Any) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} {quoted(text)} is not a number")
    return number


FORMS: Mapping[Labels, Form] = {
    "scores": Form(
        "image",
        ("score",),
        ("",),
        "write a {score} for every image into the column score ({direction}{span})",
        "scores of an image are averaged",
        _score,
    ),
    "pairs": Form(
        "pair",
        ("better",),
        ("-a", "-b"),
        "write into the column better which of the two images of every pair is better: a, b or tie",
        "the majority decides, and a tie is for neither",
        _vote,
    ),
    "points": Form(
        "image",
        ("x", "y"),
        ("",),
        "write one line for every head of an image, with the image's file name and x and y of the "
        "head in pixels of that file, counted from 0 at the upper left, and one line with "
        f"{_NOBODY} as x for an image without heads; heads in darkened parts do not count",
        "of the heads that different people found in an image those of the person with the median "
        "number count",
        _head,
    ),
}
