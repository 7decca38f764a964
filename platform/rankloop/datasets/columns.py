"""CSV files with a header line, read into rows of named cells."""

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rankloop.datasets.locations import read_text
from rankloop.errors import DataError


@dataclass(frozen=True)
class Row:
    """One line of a CSV file.

    Attributes:
        where: file and line, to begin an error with.
        cells: column name to value, without surrounding white space.
    """

    where: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Columns:
    """A CSV file's column names and rows; blank lines are left out."""

    location: str
    names: Sequence[str]
    rows: Sequence[Row]

    def require(self, name: str, remedy: str) -> str:
        """Return the name if there is such a column.

        Raises:
            DataError: there is none; names the nearest column and ends with the remedy.
        """
        if name in self.names:
            return name
        near = difflib.get_close_matches(name, self.names, n=1, cutoff=0.4)
        nearest = f" (the nearest is {near[0]!r})" if near else ""
        raise DataError(
            f"{self.location} has no column {name!r}{nearest}, only {', '.join(self.names)}: "
            f"{remedy}"
        )


def read_columns(location: str) -> Columns:
    """Read a comma-separated file whose first line names its columns.

    Raises:
        DataError: missing, not UTF-8, without rows, with a repeated column name, or with a line
            that has another number of cells than the header.
    """
    lines = csv.reader(io.StringIO(read_text(location), newline=""), strict=True)
    try:
        # A huge or unclosed quoted cell is reported like any other malformed line.
        content = [(lines.line_num, [cell.strip() for cell in line]) for line in lines if line]
    except csv.Error as error:
        raise DataError(f"{location}, line {lines.line_num}: {error}; correct this line") from error
    if len(content) < 2:
        raise DataError(f"{location} has no rows: it needs a header line and one line per row")
    names = content[0][1]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{location} has two columns named {repeated[0]!r}: rename one of them")
    return Columns(location, names, list(_rows(location, names, content[1:])))


def _rows(
    location: str, names: Sequence[str], content: Iterable[tuple[int, list[str]]]
) -> Iterator[Row]:
    for number, cells in content:
        where = f"{location}, line {number}"
        if len(cells) != len(names):
            raise DataError(
                f"{where}: {len(cells)} cells, but the header names {len(names)} columns; "
                "correct this line (put quotes around a name that holds a comma)"
            )
        yield Row(where, dict(zip(names, cells, strict=True)))
