"""``flive:PATH``: FLIVE / PaQ-2-PiQ (Ying et al. 2020): 39,810 photographs, MOS."""

from collections.abc import Mapping

from rankloop.datasets.dataset import Split
from rankloop.datasets.layouts.tree import (
    Tree,
    columns_of,
    is_official,
    number,
    open_tree,
    read_table,
)
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

# Lists of large photographs, which are the official test set, and of the others; some tools drop
# the signs from the names.
_TEST_LISTS = ("labels>640.csv", "labels640.csv")
_OTHER_LISTS = ("labels<=640_padded.csv", "labels=640_padded.csv")


def read_flive(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with their MOS, 0 to 100, higher is better.

    Args:
        path: folder with ``labels_image.csv`` and ``database/``.
        options: ``split=official``: photographs with a side above 640 pixels are the test set; the
            files ``labels>640.csv`` and ``labels<=640_padded.csv`` say which.

    Raises:
        DataError: a list is missing or malformed, or no photograph is there.
    """
    tree = open_tree(path)
    listed_in = tree.require("labels_image.csv")
    official = is_official(options)
    splits = _official_splits(tree) if official else {}
    rows, unlisted = [], []
    for name, score in columns_of(read_table(listed_in), ("name", "mos"), listed_in):
        if official and name.lower() not in splits:
            unlisted.append((name, "it is in none of the lists of the official split"))
            continue
        rows.append(
            ImageRow(
                name,
                f"database/{name}",
                split=splits.get(name.lower()),
                score=number(score, f"{listed_in}, {name}"),
            )
        )
    found = tree.present(rows, listed_in)
    return Part(
        found.images, higher_is_better=True, score_name="MOS", skipped=(*unlisted, *found.skipped)
    )


def _official_splits(tree: Tree) -> dict[str, Split]:
    splits: dict[str, Split] = {}
    others_at, test_at = tree.require(*_OTHER_LISTS), tree.require(*_TEST_LISTS)
    columns = ("name_image", "is_valid")
    for name, is_validation in columns_of(read_table(others_at), columns, others_at):
        if is_validation is None:
            raise DataError(f"{others_at}: {name} has no is_valid; download the list again")
        splits[name.lower()] = "validation" if is_validation.lower() in ("true", "1") else "train"
    for (name,) in columns_of(read_table(test_at), ("name_image",), test_at):
        splits[name.lower()] = "test"
    return splits
