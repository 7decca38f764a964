"""Answers as people drop them: CSV and Parquet files, of which none may stop a round."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rankloop.active.forms import Form
from rankloop.errors import StorageError
from rankloop.parquet import read_within
from rankloop.storage import Folder, explained

# A CSV file whose last line has no end may have been cut off there: it waits for so long.
UNENDED_SECONDS = 600.0
# A million answers with long names of files take less.
MAX_ROWS = 1_000_000
MAX_BYTES = 64 * 2**20
Refused = list[tuple[str, str]]


@dataclass(frozen=True)
class Line:
    """A line of a file with an answer.

    Attributes:
        where: file and line, for messages.
        annotator: who answered.
        row: all cells.
        value: the answer, see `Form`; None for one that was refused.
        digest: of the file's content.
        file: its name without the ending, when this content was first seen.
    """

    where: str
    annotator: str
    row: Mapping[str, Any]
    value: tuple[float, ...] | None
    digest: str
    file: str


def read_answers(
    folders: Sequence[Folder],
    form: Form,
    refused: Refused,
    *,
    taken: Mapping[str, str],
    settled_seconds: float,
) -> Iterator[Line]:
    """Yield the filled lines of all files, the oldest file first; what cannot be read is listed.

    A file without the column ``annotator`` is its name's. The same content under two names is one
    file: whether a copy, or the same answers of somebody else, nobody can tell, so that it is
    listed.

    Args:
        folders: where files are dropped.
        form: what the files are.
        refused: takes (where, reason) of what is not used.
        taken: digest of the content of files that earlier cycles took in, to their names.
        settled_seconds: files changed within so many seconds are left for another time.
    """
    seen, read = dict(taken), set()
    for folder, info in _files(folders, refused, settled_seconds):
        name = info.base_name
        where, stem = str(folder / name), name.rpartition(".")[0]
        try:
            _check_size(info)
            data = folder.read_bytes(name)
            unended = name.lower().endswith(".csv") and not data.endswith((b"\n", b"\r"))
            if unended and settled_seconds and _age(info) < UNENDED_SECONDS:
                refused.append(
                    (
                        where,
                        "its last line has no end, so that it may not be whole: end it with a line "
                        f"break, or it is read {UNENDED_SECONDS / 60:.0f} minutes after its change",
                    )
                )
                continue
            rows = _read(data, name, form)
        # Of a damaged Parquet file also OSError and OverflowError; of one that is gone or not to be
        # read StorageError.
        except (ValueError, KeyError, OverflowError, OSError, pa.ArrowException) as error:
            refused.append((where, f"it cannot be read ({error}): correct it"))
            continue
        except StorageError as error:
            refused.append((where, str(error)))
            continue
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        first = seen.setdefault(digest, stem)
        filled = [row for _, row in rows if any(row[column] for column in form.answer)]
        if first != stem and any(not row.get("annotator") for row in filled):
            refused.append(
                (
                    where,
                    f"it is the same as the answers of {first!r}, and taken for a copy: if "
                    "somebody else gave the same answers, fill in the column annotator",
                )
            )
        if digest not in read:
            read.add(digest)
            yield from _lines(where, rows, form, digest, first, refused)


def _lines(
    where: str,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    form: Form,
    digest: str,
    file: str,
    refused: Refused,
) -> Iterator[Line]:
    for number, row in rows:
        place = f"{where}, line {number}"
        cells = [row[column] for column in form.answer]
        if all(cell in (None, "") for cell in cells):
            continue
        value: tuple[float, ...] | None = None
        try:
            value = form.value(cells)
        except ValueError as error:
            refused.append((place, str(error)))
        yield Line(place, str(row.get("annotator") or file), row, value, digest, file)


def _files(
    folders: Sequence[Folder], refused: Refused, settled_seconds: float
) -> list[tuple[Folder, pafs.FileInfo]]:
    """Files that nobody is writing any more, the oldest first."""
    found = []
    for folder in folders:
        with explained(f"list {folder}"):
            selector = pafs.FileSelector(folder.path, allow_not_found=True)
            found += [(folder, info) for info in folder.filesystem.get_file_info(selector)]
    kept = []
    for folder, info in sorted(found, key=lambda f: (f[1].mtime_ns or 0, f[1].path)):
        where = str(folder / info.base_name)
        if info.type != pafs.FileType.File or info.base_name.startswith("."):
            continue
        if not info.base_name.lower().endswith((".csv", ".parquet")):
            refused.append((where, "it is neither .csv nor .parquet"))
        elif folder.is_local and Path(info.path).is_symlink():
            # What is wrong with a file is said with some of its content.
            refused.append((where, "it is a link, which may lead anywhere: copy the file here"))
        elif settled_seconds and _age(info) < settled_seconds:
            why = "it is being written, or its clock is ahead; it is read another time"
            refused.append((where, why))
        else:
            kept.append((folder, info))
    return kept


def _age(info: pafs.FileInfo) -> float:
    return datetime.now(UTC).timestamp() - (info.mtime_ns or 0) / 1e9


def _read(data: bytes, name: str, form: Form) -> list[tuple[int, Mapping[str, Any]]]:
    """Return numbered rows of a file with the form's columns.

    Raises:
        ValueError: a column is missing (says the file's) or may run code, or the file is cut off.
    """
    if name.lower().endswith(".parquet"):
        file = pq.ParquetFile(io.BytesIO(data))
        _check_columns(file.schema_arrow.names, form)
        used = _used_columns(file.schema_arrow.names, form)
        for column in used:
            if pa.types.is_nested(file.schema_arrow.field(column).type):
                raise ValueError(f"its column {column!r} holds lists; save it as numbers or text")
        table = read_within(data, columns=used, max_rows=MAX_ROWS, max_bytes=MAX_BYTES)
        return list(enumerate(table.to_pylist(), 1))
    return _read_csv(data, form)


def _check_size(info: pafs.FileInfo) -> None:
    if (info.size or 0) > MAX_BYTES:
        raise ValueError(f"its {info.size} bytes are above the limit of {MAX_BYTES}: split it")


def _used_columns(found: Sequence[str], form: Form) -> list[str]:
    # Other columns may hold anything.
    wanted = [form.question, *form.answer, "annotator", "name"]
    return [column for column in wanted if column in found]


def _read_csv(data: bytes, form: Form) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{error}; save it as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines = ((reader.line_num, [cell.strip() for cell in line]) for line in reader if line)
    rows: list[tuple[int, Mapping[str, Any]]] = []
    try:
        _, header = next(lines, (0, []))
        if not header:
            raise ValueError("it is empty")
        header = [cell.lower() for cell in header]
        _check_columns(header, form)
        places = {column: place for place, column in enumerate(header)}
        used = _used_columns(header, form)
        for number, cells in lines:
            if len(cells) != len(header):
                raise ValueError(
                    f"line {number} has {len(cells)} cells and the header {len(header)}; is it cut "
                    "off?"
                )
            if len(rows) == MAX_ROWS:
                raise ValueError(f"its lines are above the limit of {MAX_ROWS}: split it")
            rows.append((number, {column: cells[places[column]] for column in used}))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    return rows


def _check_columns(found: Sequence[str], form: Form) -> None:
    for column in (form.question, *form.answer):
        if column not in found:
            only = f"it has no column {column!r}, only {', '.join(found)}"
            commas = "; save it with commas between the cells" if ";" in "".join(found) else ""
            raise ValueError(only + commas)
