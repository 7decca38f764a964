"""Heads that annotators mark in an image: lines of a file, gathered into answers."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from rankloop.active.answer_files import Line, Refused
from rankloop.active.labels import Answer, Label


def gathered(
    lines: Iterable[tuple[str, Line]], sizes: Mapping[str, Sequence[int]], refused: Refused
) -> list[tuple[Answer, Line]]:
    """Return an answer for each image, annotator and file, with its first line, in their order.

    An image of which a line cannot be used has no answer: a head would be missing.

    Args:
        lines: question and line; one that was refused before has no value.
        sizes: question to width and height of the image that was shown, in pixels.
        refused: takes (where, reason) of heads beyond the border of their image, and of images that
            have no answer for that.
    """
    of_each: dict[tuple[str, str, str], list[Line]] = {}
    for name, line in lines:
        of_each.setdefault((name, line.annotator, line.digest), []).append(line)
    found = []
    for (name, annotator, digest), some in of_each.items():
        problems = [_problem(line, sizes[name]) for line in some]
        nobody = any(line.value == () for line in some)
        if nobody and len(some) > 1:
            refused.append((some[0].where, f"{name} has a line with none and others: keep one"))
        elif any(problem is not None for problem in problems):
            pairs = zip(some, problems, strict=True)
            refused += [(line.where, problem) for line, problem in pairs if problem]
            refused.append((some[0].where, f"{name} is left out until all of its lines are right"))
        else:
            points = [list(line.value) for line in some if line.value]
            answer = Answer(name, annotator, float(len(points)), digest, some[0].file, points)
            found.append((answer, some[0]))
    return found


def _problem(line: Line, size: Sequence[int]) -> str | None:
    """What is wrong with a line; "" if that has been said."""
    if line.value is None:
        return ""
    if not line.value:
        return None
    (x, y), (width, height) = line.value, size
    if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
        return None
    return f"the head at {x:g}, {y:g} is not in the image of {width} x {height} pixels"


def points_label(answers: Sequence[Answer]) -> Label:
    """Return the heads of the annotator with the median number of them (the lower of two)."""
    ordered = sorted(answers, key=lambda answer: (answer.value, answer.annotator))
    chosen = ordered[(len(ordered) - 1) // 2]
    counts = [answer.value for answer in answers]
    spread = statistics.stdev(counts) if len(counts) > 1 else None
    points = tuple((x, y) for x, y in chosen.points or ())
    return Label(chosen.value, spread, len(answers), points)
