"""A data set's folder: its files by name, whatever their case, and its tables."""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
import openpyxl
import scipy.io

from rankloop.datasets.layouts.mat_size import check_size
from rankloop.datasets.locations import absolute, join, list_files, read_text
from rankloop.datasets.part import ImageRow
from rankloop.datasets.present import REASON
from rankloop.errors import ConfigError, DataError
from rankloop.images import read_bytes
from rankloop.redaction import without_passwords

# A list of ten million heads is 160 MB.
MAX_BYTES = 256 * 2**20
# Where MATLAB's own header of 512 bytes ends, or at the start.
_HDF5 = b"\x89HDF\r\n\x1a\n"

# Of an Excel sheet.
_MAX_ROWS, _MAX_COLUMNS = 2**20, 100


@dataclass(frozen=True)
class Tree:
    """Files of a folder.

    Attributes:
        folder: absolute path or URI.
        files: paths relative to the folder.
        any_case: lower-case path to the path as it is: released lists and released files differ in
            case.
    """

    folder: str
    files: frozenset[str]
    any_case: Mapping[str, str]

    def uri(self, name: str) -> str | None:
        """Return where a file of this name, or else of this name in another case, is; or None."""
        found = name if name in self.files else self.any_case.get(name.lower())
        return None if found is None else join(self.folder, found)

    def first(self, *names: str) -> str | None:
        """Return where the first of several possible files is, or None if none is there."""
        return next(filter(None, map(self.uri, names)), None)

    def require(self, *names: str) -> str:
        """Return where the first of several possible files is.

        Raises:
            DataError: none is there.
        """
        found = self.first(*names)
        if found is not None:
            return found
        raise DataError(
            f"{self.folder} has no {' or '.join(names)} (it holds {len(self.files)} files): give "
            "the folder of the release, with the file names that it has"
        )

    def below(self, folder: str, endings: tuple[str, ...]) -> list[str]:
        """Return the files below a folder whose names end so (in lower case), sorted."""
        start = f"{folder.lower()}/" if folder else ""
        return sorted(
            name
            for name in self.files
            if name.lower().startswith(start) and name.lower().endswith(endings)
        )

    def present(self, rows: Sequence[ImageRow], listed_in: str) -> "Found":
        """Return the rows whose image is there; ``uri`` is a name relative to the folder so far.

        Raises:
            DataError: none is there.
        """
        images, missing = [], []
        for row in rows:
            uri = self.uri(row.uri)
            if uri is None:
                where = without_passwords(join(self.folder, row.uri))
                missing.append((row.image, f"{where} {REASON}"))
            else:
                images.append(replace(row, uri=uri))
        if not images:
            first = join(self.folder, rows[0].uri) if rows else "no image"
            raise DataError(
                f"none of the {len(rows)} images listed in {listed_in} exists, the first would be "
                f"{first}: give the folder of the release, with its images unpacked"
            )
        return Found(images, tuple(missing))


@dataclass(frozen=True)
class Found:
    """Listed images that are there, and (image, reason) of those that are not."""

    images: list[ImageRow]
    skipped: tuple[tuple[str, str], ...]


def open_tree(path: str) -> Tree:
    """List a folder.

    Raises:
        DataError: it is missing or cannot be listed.
    """
    folder = absolute(path)
    files = list_files(folder)
    return Tree(folder, frozenset(files), {name.lower(): name for name in files})


def read_mat(location: str) -> dict[str, Any]:
    """Return the variables of a MATLAB file; of version 7.3 (HDF5), those that are numbers.

    Raises:
        DataError: missing or malformed.
    """
    data = read_bytes(location)
    try:
        if _HDF5 in data[:1024]:
            with h5py.File(io.BytesIO(data), "r") as file:
                stored = {k: v for k, v in file.items() if isinstance(v, h5py.Dataset)}
                total = sum(value.nbytes for value in stored.values())
                if total > MAX_BYTES:
                    raise ValueError(f"its variables are above the limit of {MAX_BYTES} bytes")
                return {name: _matrix(value) for name, value in stored.items()}
        check_size(data, MAX_BYTES)
        content: dict[str, Any] = scipy.io.loadmat(io.BytesIO(data))  # type: ignore[arg-type]
    except Exception as error:  # hostile bytes reach many kinds
        raise DataError(
            f"{location} is not a MATLAB file that can be read: {error}; download it again"
        ) from error
    return content


def _matrix(stored: Any) -> np.ndarray:
    # Of an empty matrix MATLAB stores the size.
    if stored.attrs.get("MATLAB_empty"):
        return np.empty([int(length) for length in np.asarray(stored)])
    # HDF5 stores the columns of a MATLAB matrix as its rows.
    return np.asarray(stored).T


def variable(content: Mapping[str, Any], name: str, location: str) -> np.ndarray:
    """Return a variable of a MATLAB file.

    Raises:
        DataError: there is none of that name.
    """
    if name not in content:
        known = ", ".join(key for key in content if not key.startswith("__"))
        raise DataError(f"{location} has no variable {name!r}, only {known}: is it the release's?")
    return np.asarray(content[name])


def read_sheet(location: str, sheet: str | None = None) -> list[list[Any]]:
    """Return the rows of a sheet (the first for None) of an Excel file as plain values.

    Raises:
        DataError: missing or malformed, or no such sheet.
    """
    try:
        data = io.BytesIO(read_bytes(location))
        with zipfile.ZipFile(data) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"its content of {size} bytes is above the limit of {MAX_BYTES}")
        book = openpyxl.load_workbook(data, read_only=True, data_only=True)
        chosen = book.worksheets[0] if sheet is None else book[sheet]
        # A row may claim any number, and all before it would be filled in.
        rows = chosen.iter_rows(values_only=True, max_row=_MAX_ROWS, max_col=_MAX_COLUMNS)
        return [list(row) for row in rows if any(cell is not None for cell in row)]
    except DataError:
        raise
    except Exception as error:  # hostile bytes reach many kinds
        raise DataError(
            f"{location} cannot be read as an Excel file"
            f"{f' with a sheet {sheet}' if sheet else ''}: {error}; download it again"
        ) from error


def read_table(location: str, delimiter: str = ",") -> list[list[str]]:
    """Return the lines of a text table as stripped cells; blank lines are left out.

    Raises:
        DataError: missing or not UTF-8.
    """
    text = read_text(location)
    if delimiter == " ":
        return [line.split() for line in text.splitlines() if line.strip()]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [[cell.strip() for cell in line] for line in lines if any(map(str.strip, line))]


def columns_of(
    rows: Sequence[Sequence[Any]], names: Sequence[str], location: str
) -> list[list[Any]]:
    """Return the cells of some columns, below the first row that names them all.

    Args:
        rows: of a table; those before the header, and those whose first wanted cell is empty, are
            left out.
        names: of the columns, found whatever their case.
        location: of the table, for errors.

    Raises:
        DataError: no row names them all.
    """
    wanted = [name.lower() for name in names]
    for start, row in enumerate(rows):
        header = [str(cell).strip().lower() for cell in row]
        if set(wanted) <= set(header):
            places = [header.index(name) for name in wanted]
            below = (list(line) + [None] * len(header) for line in rows[start + 1 :])
            picked = ([line[place] for place in places] for line in below)
            return [cells for cells in picked if cells[0] not in (None, "")]
    raise DataError(
        f"{location} has no header with the columns {', '.join(names)}: is it the release's file?"
    )


def is_official(options: Mapping[str, str]) -> bool:
    """Return whether ``split=official`` is among a reader's options.

    Raises:
        ConfigError: another split is.
    """
    wanted = options.get("split")
    if wanted not in (None, "official"):
        raise ConfigError(f"split={wanted!r}: the only split by name is split=official")
    return wanted is not None


def number(text: Any, where: str) -> float:
    """Return a cell as a finite number.

    Raises:
        DataError: it is none.
    """
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{where}: {text!r} is not a finite number; download the file again")
    return value
