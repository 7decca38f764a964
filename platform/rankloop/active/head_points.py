"""Heads that annotators mark in an image: lines of a file, gathered into answers."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rankloop.active.answer_files import Line, Refused
from rankloop.active.labels import Answer, Label
from rankloop.datasets.density_maps import inside_image


def gathered(
    lines: Iterable[tuple[str, Line]],
    sizes: Mapping[str, Sequence[int]],
    refused: Refused,
    unusual: Refused,
) -> list[tuple[Answer, Line]]:
    """Return an answer for each image, annotator and file, with its first line, in their order.

    An image of which a line cannot be used has no answer: a head would be missing. Lines of an
    image without an annotator are those of the one that others of the file name.

    Args:
        lines: question and line; one that was refused before has no value.
        sizes: question to width and height of the image that was shown, in pixels.
        refused: takes (where, reason) of heads beyond the border of their image, and of images that
            have no answer for that.
        unusual: takes (where, reason) of heads that are there twice, and count once.
    """
    of_file: dict[tuple[str, str], list[Line]] = {}
    for name, line in lines:
        of_file.setdefault((name, line.digest), []).append(line)
    found = []
    for (name, _), together in of_file.items():
        named = {str(line.row["annotator"]) for line in together if line.row.get("annotator")}
        blank = any(not line.row.get("annotator") for line in together)
        if blank and len(named) > 1:
            why = f"lines of {name} name several annotators, and some none: fill in all of them"
            refused.append((together[0].where, why))
            continue
        of_each: dict[str, list[Line]] = {}
        for line in together:
            owner = next(iter(named)) if len(named) == 1 else line.annotator
            of_each.setdefault(owner, []).append(line)
        for annotator, some in of_each.items():
            points = _heads(name, some, sizes[name], refused, unusual)
            if points is not None:
                first = some[0]
                value = float(len(points))
                found.append(
                    (Answer(name, annotator, value, first.digest, first.file, points), first)
                )
    return found


def _heads(
    name: str, lines: Sequence[Line], size: Sequence[int], refused: Refused, unusual: Refused
) -> tuple[tuple[float, float], ...] | None:
    """Heads that an annotator marked in an image, each once; None if a line cannot be used."""
    problems = [(line.where, _problem(line, size)) for line in lines]
    if any(line.value == () for line in lines) and len(lines) > 1:
        refused.append((lines[0].where, f"{name} has a line with none and others: keep one"))
        return None
    if any(problem is not None for _, problem in problems):
        refused += [(where, problem) for where, problem in problems if problem]
        refused.append((lines[0].where, f"{name} is left out until all of its lines are right"))
        return None
    marked = [(line.value[0], line.value[1]) for line in lines if line.value]
    points = tuple(dict.fromkeys(marked))
    if len(points) < len(marked):
        again = len(marked) - len(points)
        why = f"{again} heads of {name} are there again; they count once"
        unusual.append((lines[0].where, why))
    return points


def _problem(line: Line, size: Sequence[int]) -> str | None:
    """What is wrong with a line; "" if that has been said."""
    if line.value is None:
        return ""
    if not line.value:
        return None
    (x, y), (width, height) = line.value, size
    if inside_image(np.array([[x, y]]), height, width).all():
        return None
    return f"the head at {x:g}, {y:g} is not in the image of {width} x {height} pixels"


def points_label(answers: Sequence[Answer]) -> Label:
    """Return the heads of the annotator with the median number of them (the lower of two)."""
    ordered = sorted(answers, key=lambda answer: (answer.value, answer.annotator))
    chosen = ordered[(len(ordered) - 1) // 2]
    counts = [answer.value for answer in answers]
    spread = statistics.stdev(counts) if len(counts) > 1 else None
    return Label(chosen.value, spread, len(answers), chosen.points)
