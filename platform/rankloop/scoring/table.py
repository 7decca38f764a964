"""The table of scores: columns ``image, score, error``, written row by row and resumable.

While scoring goes on, rows are appended to a CSV file beside the output, named after the output and
the checkpoint's digest; at the end it becomes the output. Rows come in the order of the images, so
what is there after a crash is the beginning of the table.
"""

import csv
import errno
import fcntl
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from rankloop.errors import LockedError, StorageError
from rankloop.locking import flock
from rankloop.spreadsheets import defused, is_formula

COLUMNS = ("image", "score", "error")
FORMATS = (".csv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One image of the table.

    Attributes:
        image: path or URI.
        score: None if there is none.
        error: why there is no score; empty if there is one.
    """

    image: str
    score: float | None
    error: str = ""


def as_cell(text: str) -> str:
    """Return text that any reader of the table takes as text, in valid UTF-8.

    What a spreadsheet would run as a formula gets ``./`` in front, which for an image's relative
    path is the same file. Bytes of a file name that are not UTF-8 become backslash escapes.
    """
    valid = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"./{valid}" if is_formula(valid) else valid


@contextmanager
def open_partial(output: Path, digest: str) -> Iterator[BinaryIO]:
    """Give the file of rows so far, for reading and appending, to one process at a time.

    Raises:
        LockedError: another process writes it.
        StorageError: it cannot be opened.
    """
    path = partial_path(output, digest)
    with _explained(path):
        output.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b")  # noqa: SIM115 (closing is explained too)
    try:
        try:
            flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"another process is writing {output}: wait for it, or give another --output"
            ) from error
        yield file
    finally:
        # Closing tries once more to write what did not fit on the disk.
        with _explained(path):
            file.close()


def partial_path(output: Path, digest: str) -> Path:
    """Where the rows are until all are there."""
    return output.with_name(f"{output.name}.{digest[:12]}.partial")


def keep_beginning(file: BinaryIO, images: Sequence[str]) -> int:
    """Cut off all that is not whole rows of these images in this order; return how many remain."""
    file.seek(0)
    position, whole = 0, False

    def lines() -> Iterator[str]:
        nonlocal position, whole
        for line in file:
            position += len(line)
            whole = line.endswith(b"\n")
            yield line.decode("utf-8", "replace")

    end, kept = 0, -1
    try:
        for cells in csv.reader(lines()):
            expected = list(COLUMNS) if kept < 0 else [as_cell(images[kept])]
            if not whole or len(cells) != len(COLUMNS) or cells[: len(expected)] != expected:
                break
            end, kept = position, kept + 1
            if kept == len(images):
                break
    except csv.Error:
        # Not CSV from here on: what was kept so far remains.
        pass
    file.truncate(end)
    if kept < 0:
        _append(file, [COLUMNS])
    return max(kept, 0)


def append_rows(file: BinaryIO, rows: Iterable[Row]) -> None:
    """Append rows; a score that is not finite becomes an error.

    Raises:
        StorageError: the disk is full, say; the rows before stay.
    """
    _append(file, [_cells(row) for row in rows])


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a table in CSV; each score is the float32 that was written."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for image, score, error in rows:
            yield Row(image, float(np.float32(score)) if score else None, error)


def finish(output: Path, digest: str) -> None:
    """Turn the rows into the output, which appears in one piece.

    Raises:
        StorageError: it cannot be written; the rows stay where they are.
    """
    partial = partial_path(output, digest)
    with _explained(output):
        with open(partial, "rb") as file:
            os.fsync(file)
        if output.suffix.lower() == ".csv":
            os.replace(partial, output)
            return
        beside = partial.with_suffix(".parquet")
        try:
            _to_parquet(partial, beside)
            os.replace(beside, output)
        finally:
            beside.unlink(missing_ok=True)
        partial.unlink()


def _cells(row: Row) -> tuple[str, str, str]:
    score, error = row.score, row.error
    if score is not None and not math.isfinite(score):
        score, error = None, f"the model's score is {score}"
    # The shortest text that gives the same float32 again.
    text = "" if score is None else str(np.float32(score))
    return as_cell(row.image), text, as_cell(defused(" ".join(error.split())))


def _append(file: BinaryIO, rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    # A spreadsheet that takes semicolons for the ends of cells does so within no quotes.
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    with _explained(Path(file.name)):
        file.write(text.getvalue().encode())
        file.flush()


def _to_parquet(source: Path, destination: Path) -> None:
    schema = pa.schema([("image", pa.string()), ("score", pa.float32()), ("error", pa.string())])
    convert = pacsv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    parse = pacsv.ParseOptions(newlines_in_values=True)
    with (
        pacsv.open_csv(source, parse_options=parse, convert_options=convert) as batches,
        pq.ParquetWriter(destination, schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "give another --output"
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; {remedy}, then run the same command "
            "again: it goes on from the rows that are there"
        ) from error
