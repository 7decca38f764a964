"""Files inside Parquet shards, read by their place: ``pack:SHARD#ROW``.

A million small files in object storage cost a request each. In shards, files that were packed
together come together.
"""

import bisect
import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankloop.filesystems import open_uri
from rankloop.plain_columns import check_plain

PREFIX = "pack:"
COLUMN = "bytes"
# Read at once: enough for a request to be worth it, little enough to waste on one image.
_GROUP_BYTES = 256 * 2**10
_OPEN_SHARDS = 64
_GROUPS = 64


def packed_uri(shard: str, row: int) -> str:
    """Return the name of a file in a shard."""
    return f"{PREFIX}{shard}#{row}"


def write_shard(file: Any, contents: Iterable[bytes]) -> int:
    """Write files into a shard and return their number.

    Args:
        file: open for writing bytes.
        contents: of the files, in order; one group of them is in memory at a time.
    """
    schema = pa.schema([pa.field(COLUMN, pa.large_binary(), nullable=False)])
    group: list[bytes] = []
    rows = size = 0
    # Images are compressed already.
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(file, schema, **options) as writer:
        for content in contents:
            if group and size + len(content) > _GROUP_BYTES:
                writer.write_table(pa.table([group], schema=schema))
                group, size = [], 0
            group.append(content)
            size += len(content)
            rows += 1
        if group:
            writer.write_table(pa.table([group], schema=schema))
    return rows


def read_packed(uri: str) -> bytes:
    """Return a file of a shard.

    Raises:
        OSError, ValueError, pyarrow.ArrowInvalid: missing, malformed, or no such row.
    """
    shard, mark, row = uri.removeprefix(PREFIX).rpartition("#")
    if not mark or not row.isdecimal():
        raise ValueError(f"{uri} does not end with # and a row number")
    opened = _open(shard)
    place = int(row)
    group = bisect.bisect_right(opened.starts, place) - 1
    if place >= opened.rows:
        raise ValueError(f"{shard} holds {opened.rows} files, not one with number {place}")
    content: bytes = _group(shard, group)[place - opened.starts[group]].as_py()
    return content


class _Shard:
    """An open shard; Parquet readers are not safe to share among threads without a lock."""

    def __init__(self, shard: str) -> None:
        if "://" in shard:
            filesystem, path = open_uri(shard)
            self.file = pq.ParquetFile(filesystem.open_input_file(path))
        else:
            self.file = pq.ParquetFile(shard)
        check_plain(self.file.schema_arrow)
        self.lock = threading.Lock()
        self.starts, self.rows = [], 0
        for group in range(self.file.num_row_groups):
            self.starts.append(self.rows)
            self.rows += self.file.metadata.row_group(group).num_rows

    def read(self, group: int) -> pa.ChunkedArray:
        with self.lock:
            return self.file.read_row_group(group, columns=[COLUMN])[COLUMN]


@lru_cache(maxsize=_OPEN_SHARDS)
def _open(shard: str) -> _Shard:
    return _Shard(shard)


@lru_cache(maxsize=_GROUPS)
def _group(shard: str, group: int) -> pa.ChunkedArray:
    return _open(shard).read(group)
