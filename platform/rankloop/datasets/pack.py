"""``pack:PATH``: any data set packed into Parquet shards by `jobs/ingest.py`."""

import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankloop.datasets.locations import absolute, join
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError, ImageError
from rankloop.images import read_bytes
from rankloop.packed import packed_uri, write_shard
from rankloop.storage import Folder

VERSION = 1
SHARD_BYTES = 256 * 2**20
_DESCRIPTION, _IMAGES, _PAIRS = "pack.json", "images.parquet", "pairs.parquet"
_SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        # Shard and row in it; several crops of one photograph share them.
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("crop", pa.list_(pa.int32())),
        pa.field("source", pa.string()),
        pa.field("split", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("spread", pa.float64()),
        pa.field("distortion", pa.string()),
        pa.field("level", pa.int32()),
        pa.field("points", pa.list_(pa.list_(pa.float64()))),
        pa.field("region", pa.binary()),
        pa.field("longest_side", pa.int32()),
    ]
)


def write_pack(
    part: Part,
    name: str,
    folder: Folder,
    *,
    threads: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[str, str], ...]:
    """Pack a data set; what describes it is written last, so that half a pack is none.

    Args:
        part: what its reader found.
        name: the data source, for the description.
        folder: where to; shards that an earlier, interrupted call completed are kept.
        threads: that read files at once.
        on_progress: called with (photographs done, photographs in all) after each shard.

    Returns:
        (image, reason) of the images that could not be read, which are left out.

    Raises:
        DataError: no image can be read.
        StorageError: the folder cannot be written.
    """
    uris = list(dict.fromkeys(row.uri for row in part.images))
    places: dict[str, tuple[str, int]] = {}
    reasons: dict[str, str] = {}
    done = 0
    for number in itertools.count():
        if done == len(uris):
            break
        shard = f"shard-{number:05d}.parquet"
        found = _finished(folder, shard, uris[done:])
        if found is None:
            found = _write_shard(folder, shard, uris[done:], threads)
        packed, failed = found
        places |= {uri: (shard, row) for row, uri in enumerate(packed)}
        reasons |= failed
        done += len(packed) + len(failed)
        if on_progress is not None:
            on_progress(done, len(uris))
    if not places:
        raise DataError(f"none of {len(uris)} images of {name} can be read: {reasons[uris[0]]}")
    skipped = tuple((row.image, reasons[row.uri]) for row in part.images if row.uri in reasons)
    kept = [row for row in part.images if row.uri in places]
    folder.write_bytes(_IMAGES, _parquet(_table(kept, places)))
    names = {row.image for row in kept}
    pairs = [pair for pair in part.pairs if names.issuperset(pair)]
    better, worse = zip(*pairs, strict=True) if pairs else ((), ())
    table = pa.table([better, worse], schema=_pair_schema())
    folder.write_bytes(_PAIRS, _parquet(table))
    description = {
        "version": VERSION,
        "data": name,
        "higher_is_better": part.higher_is_better,
        "score_name": part.score_name,
        "counts": dict(part.counts),
        "skipped": [*part.skipped, *skipped],
    }
    folder.write_bytes(_DESCRIPTION, json.dumps(description, indent=2).encode())
    return skipped


def read_pack(path: str) -> Part:
    """Return what the packed data set's own reader found.

    Args:
        path: folder of the pack, local or URI.

    Raises:
        DataError: no pack, half a pack, or one of another version.
    """
    folder = absolute(path)
    try:
        description: dict[str, Any] = json.loads(read_bytes(join(folder, _DESCRIPTION)))
        if description["version"] != VERSION:
            raise DataError(
                f"{folder} is a pack of version {description['version']} and this is {VERSION}: "
                "pack the data again with jobs/ingest.py"
            )
        images = pq.read_table(io.BytesIO(read_bytes(join(folder, _IMAGES)))).to_pylist()
        pairs = pq.read_table(io.BytesIO(read_bytes(join(folder, _PAIRS)))).to_pylist()
        return Part(
            [_row(folder, row) for row in images],
            [(pair["better"], pair["worse"]) for pair in pairs],
            description["higher_is_better"],
            description["score_name"],
            description["counts"],
            tuple((image, reason) for image, reason in description["skipped"]),
        )
    except (ImageError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"{folder} is no whole pack ({error}): give a folder that jobs/ingest.py finished"
        ) from error


def _finished(
    folder: Folder, shard: str, uris: Sequence[str]
) -> tuple[list[str], dict[str, str]] | None:
    """What an interrupted call has packed in a shard, if it was of the same files."""
    if not folder.has(f"{shard}.json"):
        return None
    content = folder.read_json(f"{shard}.json")
    packed, failed = list(content["packed"]), dict(content["failed"])
    taken = uris[: len(packed) + len(failed)]
    return (packed, failed) if sorted(taken) == sorted([*packed, *failed]) else None


def _write_shard(
    folder: Folder, shard: str, uris: Sequence[str], threads: int
) -> tuple[list[str], dict[str, str]]:
    packed: list[str] = []
    failed: dict[str, str] = {}
    buffer = io.BytesIO()
    write_shard(buffer, _contents(uris, packed, failed, threads))
    if packed:
        folder.write_bytes(shard, buffer.getvalue())
    folder.write_json(f"{shard}.json", {"packed": packed, "failed": failed})
    return packed, failed


def _contents(
    uris: Sequence[str], packed: list[str], failed: dict[str, str], threads: int
) -> Iterator[bytes]:
    """Yield files until a shard is full, and say in the lists which were read and which not."""

    def read(uri: str) -> bytes | ImageError:
        try:
            return read_bytes(uri)
        except ImageError as error:
            return error

    size = 0
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(uris), threads):
            some = uris[start : start + threads]
            for uri, content in zip(some, pool.map(read, some), strict=True):
                if isinstance(content, ImageError):
                    failed[uri] = str(content)
                else:
                    packed.append(uri)
                    yield content
                    size += len(content)
            if size >= SHARD_BYTES:
                return


def _table(rows: Sequence[ImageRow], places: Mapping[str, tuple[str, int]]) -> pa.Table:
    values = []
    for row in rows:
        shard, place = places[row.uri]
        values.append(asdict(row) | {"shard": shard, "row": place})
    return pa.Table.from_pylist(values, schema=_SCHEMA)


def _pair_schema() -> pa.Schema:
    return pa.schema([pa.field(side, pa.string(), nullable=False) for side in ("better", "worse")])


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _row(folder: str, row: dict[str, Any]) -> ImageRow:
    shard, place = row.pop("shard"), row.pop("row")
    if "/" in shard or "\\" in shard:
        raise DataError(f"{folder}: {shard!r} is no plain file name: do not trust this pack")
    crop, points = row.pop("crop"), row.pop("points")
    return ImageRow(
        **row,
        uri=packed_uri(join(folder, shard), place),
        crop=None if crop is None else tuple(crop),
        points=None if points is None else [tuple(point) for point in points],
    )
