"""What annotators said of images, or of pairs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

_POINTS = pa.list_(pa.list_(pa.float64()))
_SCHEMA = pa.schema(
    [
        pa.field("question", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("spread", pa.float64()),
        pa.field("annotators", pa.int64(), nullable=False),
        pa.field("points", _POINTS),
    ]
)

_ANSWER_SCHEMA = pa.schema(
    [
        pa.field("question", pa.string(), nullable=False),
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("points", _POINTS),
    ]
)


@dataclass(frozen=True)
class Label:
    """What annotators said of an image, or of a pair of images (a, b).

    Attributes:
        score: their mean, on the scale and in the direction of the data; of a pair 1 where a is
            better, -1 where b is, 0 for neither: its sign is the majority's.
        spread: their standard deviation; None where it is not known, as of one annotator.
        annotators: how many they are.
        points: heads as (x, y) in pixels of the photograph; None where a label is a score alone.
    """

    score: float
    spread: float | None = None
    annotators: int = 1
    points: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True)
class Answer:
    """What one annotator said.

    Attributes:
        question: name of the image, or of the pair.
        annotator: who.
        value: as the score of a `Label`.
        digest: of the content of the file that said so.
        file: its name without the ending, when it was first seen.
        points: heads as (x, y) in pixels of the photograph; None for a score alone.
    """

    question: str
    annotator: str
    value: float
    digest: str = ""
    file: str = ""
    points: tuple[tuple[float, float], ...] | None = None


def labels_table(labels: Mapping[str, Label]) -> pa.Table:
    """Return labels by question as a table, sorted by question."""
    names = sorted(labels)
    return pa.table(
        [
            names,
            [labels[name].score for name in names],
            [labels[name].spread for name in names],
            [labels[name].annotators for name in names],
            [labels[name].points for name in names],
        ],
        schema=_SCHEMA,
    )


def labels_of(table: pa.Table) -> dict[str, Label]:
    """Return the labels of a table, by question."""
    return {
        row["question"]: Label(
            row["score"], row["spread"], row["annotators"], _points(row.get("points"))
        )
        for row in table.to_pylist()
    }


def _points(found: Sequence[Sequence[float]] | None) -> tuple[tuple[float, float], ...] | None:
    return None if found is None else tuple((x, y) for x, y in found)


def answers_table(answers: Sequence[Answer]) -> pa.Table:
    """Return single answers as a table, sorted."""
    ordered = sorted(answers, key=lambda answer: (answer.question, answer.annotator))
    return pa.Table.from_pylist([vars(answer) for answer in ordered], schema=_ANSWER_SCHEMA)


def answers_of(table: pa.Table) -> list[Answer]:
    """Return the single answers of a table."""
    return [Answer(**{**row, "points": _points(row.get("points"))}) for row in table.to_pylist()]
