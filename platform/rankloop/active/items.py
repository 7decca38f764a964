"""What a round may ask about: an image, or all levels of a distortion of a reference image."""

from collections.abc import Sequence
from dataclasses import dataclass

from rankloop.datasets.dataset import Dataset, split_indices


@dataclass(frozen=True)
class Item:
    """Images that are labelled together.

    Attributes:
        name: unique, and the same in every cycle.
        rows: row numbers in the dataset, by level where they have levels.
        levels: of each row, where all rows have one and they differ; else empty.
    """

    name: str
    rows: tuple[int, ...]
    levels: tuple[int, ...] = ()


def items_of(dataset: Dataset) -> list[Item]:
    """Return the items of the training split, sorted by name.

    Images of a reference with a distortion are one item with all their levels (TPAMI paper, section
    6.1.3); every other image is one.
    """
    rows = split_indices(dataset, "train").tolist()
    table = dataset.images.select(["image", "source", "distortion", "level"]).take(rows)
    groups: dict[str, list[tuple[int | None, int]]] = {}
    for row, entry in zip(rows, table.to_pylist(), strict=True):
        distorted = entry["distortion"] is not None
        name = f"{entry['source']} × {entry['distortion']}" if distorted else entry["image"]
        groups.setdefault(name, []).append((entry["level"], row))
    return [_item(name, groups[name]) for name in sorted(groups)]


def _item(name: str, members: Sequence[tuple[int | None, int]]) -> Item:
    levels = [level for level, _ in members if level is not None]
    if len(members) < 2 or len(set(levels)) < len(members):
        return Item(name, tuple(row for _, row in members))
    ordered = sorted((level, row) for level, row in members if level is not None)
    return Item(name, tuple(row for _, row in ordered), tuple(level for level, _ in ordered))
