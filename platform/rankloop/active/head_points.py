"""Heads that annotators mark in an image: lines of a file, gathered into answers."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from rankloop.active.answer_files import Line, Refused
from rankloop.active.labels import Answer, Label


def gathered(
    lines: Iterable[tuple[str, Line]], sizes: Mapping[str, Sequence[int]], refused: Refused
) -> list[tuple[Answer, Line]]:
    """Return an answer for each image, annotator and file, with its first line, in their order.

    Args:
        lines: question and line.
        sizes: question to width and height of the image that was shown, in pixels.
        refused: takes (where, reason) of heads beyond the border of their image.
    """
    found: dict[tuple[str, str, str], tuple[list[tuple[float, ...]], Line]] = {}
    for name, line in lines:
        points, _ = found.setdefault((name, line.annotator, line.digest), ([], line))
        if not line.value:
            continue
        x, y = line.value
        width, height = sizes[name]
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            what = f"the head at {x:g}, {y:g} is not in the image of {width} x {height} pixels"
            refused.append((line.where, what))
            continue
        points.append(line.value)
    return [
        (
            Answer(
                name, annotator, float(len(points)), digest, line.file, [list(p) for p in points]
            ),
            line,
        )
        for (name, annotator, digest), (points, line) in found.items()
    ]


def points_label(answers: Sequence[Answer]) -> Label:
    """Return the heads of the annotator with the median number of them (the lower of two)."""
    ordered = sorted(answers, key=lambda answer: (answer.value, answer.annotator))
    chosen = ordered[(len(ordered) - 1) // 2]
    counts = [answer.value for answer in answers]
    spread = statistics.stdev(counts) if len(counts) > 1 else None
    points = tuple((x, y) for x, y in chosen.points or ())
    return Label(chosen.value, spread, len(answers), points)
