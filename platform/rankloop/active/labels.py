"""What annotators said of images, or of pairs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

_SCHEMA = pa.schema(
    [
        pa.field("question", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("spread", pa.float64()),
        pa.field("annotators", pa.int64(), nullable=False),
    ]
)

_ANSWER_SCHEMA = pa.schema(
    [
        pa.field("question", pa.string(), nullable=False),
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
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
    """

    score: float
    spread: float | None = None
    annotators: int = 1


def labels_table(labels: Mapping[str, Label]) -> pa.Table:
    """Return labels by question as a table, sorted by question."""
    names = sorted(labels)
    return pa.table(
        [
            names,
            [labels[name].score for name in names],
            [labels[name].spread for name in names],
            [labels[name].annotators for name in names],
        ],
        schema=_SCHEMA,
    )


def labels_of(table: pa.Table) -> dict[str, Label]:
    """Return the labels of a table, by question."""
    return {
        row["question"]: Label(row["score"], row["spread"], row["annotators"])
        for row in table.to_pylist()
    }


def answers_table(answers: Sequence[tuple[str, str, float]]) -> pa.Table:
    """Return single answers, (question, annotator, value), as a table."""
    columns = list(zip(*sorted(answers), strict=True)) or [(), (), ()]
    return pa.table([list(column) for column in columns], schema=_ANSWER_SCHEMA)


def answers_of(table: pa.Table) -> list[tuple[str, str, float]]:
    """Return the single answers of a table."""
    return [(row["question"], row["annotator"], row["value"]) for row in table.to_pylist()]
