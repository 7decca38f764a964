"""What a round may ask about: an image, all levels of a distortion of a reference image, or a pair.

Where a method learns from scores every image of an item is a question; where it learns from pairs
an item is a pair of images, and one question.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rankloop.datasets.dataset import Dataset, split_indices
from rankloop.errors import DataError
from rankloop.randomness import rng


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


def candidate_pairs(dataset: Dataset, seed: int) -> list[tuple[str, str]]:
    """Return pairs of training images to ask about: every image is in two of them, at most.

    Images without a score are put into a random circle, and each is compared with the next. Pairs
    that are labelled already are left out.
    """
    rows = split_indices(dataset, "train").tolist()
    images = dataset.images.select(["image", "score"]).take(rows).to_pylist()
    names = sorted(image["image"] for image in images if image["score"] is None)
    circle = [names[i] for i in rng(seed, "pairs to ask about").permutation(len(names))]
    labelled = {frozenset((row["better"], row["worse"])) for row in dataset.pairs.to_pylist()}
    pairs = zip(circle, circle[1:] + circle[:1], strict=True)
    found = {frozenset(pair): pair for pair in pairs if pair[0] != pair[1]}
    return [pair for images, pair in found.items() if images not in labelled]


def pair_items(dataset: Dataset, pairs: Sequence[tuple[str, str]]) -> list[Item]:
    """Return pairs (a, b) of image names as items, sorted by name.

    Raises:
        DataError: names of images such that two pairs would be called alike.
    """
    rows = {name: row for row, name in enumerate(dataset.images["image"].to_pylist())}
    items = [Item(f"{a} | {b}", (rows[a], rows[b])) for a, b in sorted(pairs)]
    for name, count in Counter(item.name for item in items).items():
        if count > 1:
            raise DataError(
                f"{count} pairs of images would be called {name!r}: take ' | ' out of the images' "
                "names"
            )
    return items


def _item(name: str, members: Sequence[tuple[int | None, int]]) -> Item:
    levels = [level for level, _ in members if level is not None]
    if len(members) < 2 or len(set(levels)) < len(members):
        return Item(name, tuple(row for _, row in members))
    ordered = sorted((level, row) for level, row in members if level is not None)
    return Item(name, tuple(row for _, row in ordered), tuple(level for level, _ in ordered))
