"""Parquet files from outside, read within limits.

A few kilobytes can hold a million rows: what repeats is stored once.
"""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankloop.plain_columns import check_plain

# Of tables of our own: a million images with all that is known of them take 0.3 GB.
MAX_ROWS = 20_000_000
MAX_BYTES = 4 * 2**30
_BYTES_PER_VALUE = 8


def read_within(
    data: bytes,
    *,
    columns: Sequence[str] | None = None,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> pa.Table:
    """Return the table of a Parquet file.

    Args:
        data: content of the file.
        columns: of it that are read, or all.
        max_rows: a file with more rows is refused.
        max_bytes: so is one whose columns would take more bytes in memory.

    Raises:
        ValueError, OverflowError, OSError, pyarrow.ArrowException: it is too large, is damaged, or
            holds more than plain values.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    schema = file.schema_arrow
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    check_plain(schema)
    if file.metadata.num_rows > max_rows:
        raise ValueError(
            f"its {file.metadata.num_rows} rows are above the limit of {max_rows}: split it"
        )
    _check(_stated_bytes(file.metadata, schema.names), max_bytes)
    _check(_bytes_of_texts(data, file.schema, schema.names), max_bytes)
    return file.read(columns=schema.names)


def _check(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ValueError(
            f"its {size / 2**20:.0f} MiB are above the limit of {max_bytes / 2**20:.0f} MiB: "
            "split it"
        )


def _stated_bytes(metadata: pq.FileMetaData, names: Sequence[str]) -> int:
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            path = column.path_in_schema
            if any(_is_in(path, name) for name in names):
                # Of a width of its own are long numbers, and bytes of one length.
                width = max(_BYTES_PER_VALUE, metadata.schema.column(place).length)
                total += max(column.total_uncompressed_size, width * column.num_values)
    return total


def _is_in(path: str, name: str) -> bool:
    """Return whether a column of the file, such as "a.list.element", is the table's or in it."""
    return path == name or path.startswith(f"{name}.")


def _bytes_of_texts(data: bytes, schema: pq.ParquetSchema, names: Sequence[str]) -> int:
    """Return what the text of some columns takes; read so that what repeats is there once."""
    # All else has a width that is known without reading it.
    texts = [leaf.path for leaf in schema if leaf.physical_type == "BYTE_ARRAY"]
    names = [name for name in names if any(_is_in(text, name) for text in texts)]
    if not names:
        return 0
    table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read(columns=names)
    return sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks)


def _text_bytes(values: pa.Array) -> int:
    """Return what the text takes that an array holds at any depth, each time that it repeats."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _expanded_bytes(values)
    if pa.types.is_map(kind):
        return _text_bytes(values.keys) + _text_bytes(values.items)
    if pa.types.is_struct(kind):
        return sum(map(_text_bytes, values.flatten()))
    return _text_bytes(values.flatten()) if pa.types.is_nested(kind) else 0


def _expanded_bytes(values: pa.DictionaryArray) -> int:
    if pa.types.is_primitive(values.type.value_type):
        return 0
    length = pc.sum(pc.binary_length(values.dictionary).take(values.indices))
    return int(length.as_py() or 0)
