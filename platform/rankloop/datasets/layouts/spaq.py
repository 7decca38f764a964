"""``spaq:PATH``: SPAQ (Fang et al. 2020): 11,125 photographs of smartphones, MOS."""

from collections.abc import Mapping

from rankloop.datasets.layouts.tree import columns_of, number, open_tree, read_sheet
from rankloop.datasets.part import ImageRow, Part

_LIST = "MOS and Image attribute scores.xlsx"


def read_spaq(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with their MOS, 0 to 100, higher is better.

    Args:
        path: folder with ``Annotations/MOS and Image attribute scores.xlsx`` and ``TestImage/``.
        options: none.

    Raises:
        DataError: the list is missing or malformed, or no photograph is there.
    """
    tree = open_tree(path)
    listed_in = tree.require(f"Annotations/{_LIST}", _LIST)
    rows = [
        ImageRow(str(name), f"TestImage/{name}", score=number(score, f"{listed_in}, {name}"))
        for name, score in columns_of(read_sheet(listed_in), ("Image name", "MOS"), listed_in)
    ]
    found = tree.present(rows, listed_in)
    return Part(found.images, higher_is_better=True, score_name="MOS", skipped=found.skipped)
