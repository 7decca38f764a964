"""``bid:PATH``: BID (Ciancio et al. 2011): 586 blurred photographs, MOS."""

from collections.abc import Mapping

from rankloop.datasets.layouts.tree import columns_of, number, open_tree, read_sheet, read_table
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

_LISTS = ("DatabaseGrades.xlsx", "DatabaseGrades.csv")
_COLUMNS = ("Image Number", "Average Subjective Grade")


def read_bid(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with their MOS, 0 to 5, higher is better.

    Args:
        path: folder with ``DatabaseGrades.xlsx`` or ``.csv`` (the release's ``.xls``, saved in a
            newer form) and the photographs ``DatabaseImage0001.JPG``…, beside it or in
            ``ImageDatabase/``.
        options: none.

    Raises:
        DataError: the grades are missing or malformed, or no photograph is there.
    """
    tree = open_tree(path)
    old = tree.uri("DatabaseGrades.xls")
    if old and not any(map(tree.uri, _LISTS)):
        raise DataError(f"{old} is in Excel's old format: save it beside itself as .xlsx or .csv")
    listed_in = tree.require(*_LISTS)
    is_sheet = listed_in.lower().endswith(".xlsx")
    table = read_sheet(listed_in) if is_sheet else read_table(listed_in)
    inside = "ImageDatabase/" if tree.below("ImageDatabase", (".jpg",)) else ""
    rows = []
    for image, score in columns_of(table, _COLUMNS, listed_in):
        name = f"DatabaseImage{int(number(image, listed_in)):04d}.JPG"
        rows.append(ImageRow(name, inside + name, score=number(score, f"{listed_in}, {name}")))
    found = tree.present(rows, listed_in)
    return Part(found.images, higher_is_better=True, score_name="MOS", skipped=found.skipped)
