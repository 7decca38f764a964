"""Files inside Parquet shards, read by their place: ``pack:SHARD#ROW``.

A million small files in object storage cost a request each. In shards, files that were packed
together come together.
"""

import io
import threading
import zlib
from collections.abc import Iterable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rankloop.filesystems import open_at_random
from rankloop.plain_columns import check_plain

PREFIX = "pack:"
COLUMN = "bytes"
# Read at once: enough for a request to be worth it, little enough to waste on one image.
_GROUP_BYTES = 256 * 2**10
_GROUPS = 64
# A shard's footer takes 0.8 MB as Parquet's objects and some 7 kB as compressed bytes: a pack of a
# million images has a thousand, of which each is asked for again and again in a random order, and
# each would take two more reads from a bucket.
_KNOWN_SHARDS = 16384
_PARSED_SHARDS = 64


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
    known = _known(shard)
    place = int(row)
    if place >= known.rows:
        raise ValueError(f"{shard} holds {known.rows} files, not one with number {place}")
    group = int(np.searchsorted(known.starts, place, side="right")) - 1
    content: bytes = _group(shard, group)[place - int(known.starts[group])].as_py()
    return content


class _Shard:
    """What is kept of a shard: its file if that is remote, where its groups begin, its footer."""

    def __init__(self, shard: str) -> None:
        self.source = open_at_random(shard) if "://" in shard else shard
        file = pq.ParquetFile(self.source)
        check_plain(file.schema_arrow)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self.starts = np.cumsum([0, *sizes])[:-1]
        self.rows = sum(sizes)
        footer = io.BytesIO()
        file.metadata.write_metadata_file(footer)
        self.footer = zlib.compress(footer.getvalue())
        # Where a file of fsspec's is read moves its place.
        native = not isinstance(self.source, pa.PythonFile)
        self.lock = nullcontext() if native else threading.Lock()


@lru_cache(maxsize=_KNOWN_SHARDS)
def _known(shard: str) -> _Shard:
    return _Shard(shard)


@lru_cache(maxsize=_PARSED_SHARDS)
def _parsed(shard: str) -> pq.FileMetaData:
    return pq.read_metadata(io.BytesIO(zlib.decompress(_known(shard).footer)))


@lru_cache(maxsize=_GROUPS)
def _group(shard: str, group: int) -> pa.ChunkedArray:
    known = _known(shard)
    with known.lock:
        # A reader of its own, as threads cannot share one.
        file = pq.ParquetFile(known.source, metadata=_parsed(shard))
        return file.read_row_group(group, columns=[COLUMN])[COLUMN]
