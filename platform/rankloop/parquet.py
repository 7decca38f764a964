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
    # What repeats is repeated only once its size is known.
    texts = [field.name for field in schema if _is_text(field.type)]
    table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read(columns=schema.names)
    _check(sum(map(_text_bytes, table.columns)), max_bytes)
    return table.cast(schema)


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
            if any(path == name or path.startswith(f"{name}.") for name in names):
                values = _BYTES_PER_VALUE * column.num_values
                total += max(column.total_uncompressed_size, values)
    return total


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            *(pa.types.is_string, pa.types.is_large_string),
            *(pa.types.is_binary, pa.types.is_large_binary),
        )
    )


def _text_bytes(column: pa.ChunkedArray) -> int:
    if not (pa.types.is_dictionary(column.type) and _is_text(column.type.value_type)):
        return 0
    lengths = (
        pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)) for chunk in column.chunks
    )
    return sum(int(length.as_py() or 0) for length in lengths)
