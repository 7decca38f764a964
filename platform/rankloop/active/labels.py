"""What annotators said of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

_SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("spread", pa.float64()),
        pa.field("annotators", pa.int64(), nullable=False),
    ]
)

_ANSWER_SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Label:
    """What annotators said of an image.

    Attributes:
        score: their mean, on the scale and in the direction of the data.
        spread: their standard deviation; None where it is not known, as of one annotator.
        annotators: how many they are.
    """

    score: float
    spread: float | None = None
    annotators: int = 1


def labels_table(labels: Mapping[str, Label]) -> pa.Table:
    """Return labels by image as a table, sorted by image."""
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
    """Return the labels of a table, by image."""
    return {
        row["image"]: Label(row["score"], row["spread"], row["annotators"])
        for row in table.to_pylist()
    }


def answers_table(answers: Sequence[tuple[str, str, float]]) -> pa.Table:
    """Return single answers, (image, annotator, score), as a table."""
    columns = list(zip(*sorted(answers), strict=True)) or [(), (), ()]
    return pa.table([list(column) for column in columns], schema=_ANSWER_SCHEMA)


def answers_of(table: pa.Table) -> list[tuple[str, str, float]]:
    """Return the single answers of a table."""
    return [(row["image"], row["annotator"], row["score"]) for row in table.to_pylist()]
