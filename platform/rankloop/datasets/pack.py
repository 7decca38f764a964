"""``pack:PATH``: any data set packed into Parquet shards by `jobs/ingest.py`."""

import hashlib
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankloop.datasets.locations import absolute, join
from rankloop.datasets.pack_checks import check_description, check_pairs, check_rows
from rankloop.datasets.part import ImageRow, Part
from rankloop.decoding import check_header
from rankloop.errors import DataError, ImageError
from rankloop.images import read_bytes
from rankloop.packed import packed_uri, write_shard
from rankloop.parquet import read_within
from rankloop.redaction import without_passwords
from rankloop.storage import Folder

VERSION = 2
SHARD_BYTES = 128 * 2**20
_SHARD = re.compile(r"shard-\d{5}-[0-9a-f]{16}\.parquet")
_TABLE = re.compile(r"(images|pairs)-[0-9a-f]{16}\.parquet")
# Notes for going on, and files that a killed call had not renamed yet.
_LEFT_BEHIND = re.compile(r"\d{5}\.unfinished\.json|\.(shard|images|pairs|\d{5}|pack)[-.].*")
_DESCRIPTION = "pack.json"
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

    A call that was interrupted goes on where it was, and reads again what it could not read. A
    finished pack of the same source is made anew, and stays whole for its readers until then.

    Args:
        part: what its reader found.
        name: the data sources, as `shown_sources` calls them, for the description.
        folder: where to.
        threads: that read files at once.
        on_progress: called with (photographs done, photographs in all) after each shard.

    Returns:
        (image, reason) of the images that could not be read, or are none by their first bytes: they
        are left out.

    Raises:
        DataError: no image can be read, or the folder holds a pack of another source.
        StorageError: the folder cannot be written.
    """
    data = without_passwords(name)
    if folder.has(_DESCRIPTION) and (before := folder.read_json(_DESCRIPTION).get("data")) != data:
        raise DataError(
            f"{folder} holds a pack of {before}: give another --output for {data}, or remove it"
        )
    uris = list(dict.fromkeys(row.uri for row in part.images))
    places: dict[str, tuple[str, int]] = {}
    reasons: dict[str, str] = {}
    done = 0
    for number in itertools.count():
        if done == len(uris):
            break
        shard, packed, failed = _kept(folder, number, uris[done:]) or _write_shard(
            folder, number, uris[done:], threads
        )
        places |= {uri: (shard, row) for row, uri in enumerate(packed)}
        reasons |= failed
        done += len(packed) + len(failed)
        if on_progress is not None:
            on_progress(done, len(uris))
    if not places:
        raise DataError(f"none of {len(uris)} images of {name} can be read: {reasons[uris[0]]}")
    skipped = tuple((row.image, reasons[row.uri]) for row in part.images if row.uri in reasons)
    kept = [row for row in part.images if row.uri in places]
    images = _write_table(folder, "images", _table(kept, places))
    names = {row.image for row in kept}
    pairs = [pair for pair in part.pairs if names.issuperset(pair)]
    better, worse = zip(*pairs, strict=True) if pairs else ((), ())
    table = pa.table([better, worse], schema=_pair_schema())
    listed = _write_table(folder, "pairs", table)
    description = {
        "version": VERSION,
        "data": data,
        "images": images,
        "pairs": listed,
        "higher_is_better": part.higher_is_better,
        "score_name": part.score_name,
        "counts": dict(part.counts),
        "skipped": [[image, without_passwords(why)] for image, why in (*part.skipped, *skipped)],
    }
    folder.write_json(_DESCRIPTION, description)
    _tidy(folder, {images, listed, *(shard for shard, _ in places.values())})
    return skipped


def read_pack(path: str) -> Part:
    """Return what the packed data set's own reader found.

    Args:
        path: folder of the pack, local or URI.

    Raises:
        DataError: no pack, half a pack, one of another version, or what no pack of ours holds.
    """
    folder = absolute(path)
    try:
        description: dict[str, Any] = json.loads(read_bytes(join(folder, _DESCRIPTION)))
        if description["version"] != VERSION:
            raise DataError(
                f"{folder} is a pack of version {description['version']} and this is {VERSION}: "
                "pack the data again with jobs/ingest.py"
            )
        check_description(join(folder, _DESCRIPTION), description)
        images = _read_table(folder, description["images"], _SCHEMA)
        check_rows(join(folder, description["images"]), images)
        pairs = [
            (pair["better"], pair["worse"])
            for pair in _read_table(folder, description["pairs"], _pair_schema())
        ]
        check_pairs(join(folder, description["pairs"]), pairs, images)
        return Part(
            [_row(folder, row) for row in images],
            pairs,
            description["higher_is_better"],
            description["score_name"],
            description["counts"],
            tuple((image, reason) for image, reason in description["skipped"]),
        )
    # Of damaged tables also OSError and OverflowError, of brackets in brackets RecursionError.
    except (
        *(ImageError, ValueError, KeyError, TypeError, RecursionError),
        *(OverflowError, OSError, pa.ArrowException),
    ) as error:
        raise DataError(
            f"{folder} is no whole pack ({error}): give a folder that jobs/ingest.py finished"
        ) from error


def _kept(
    folder: Folder, number: int, uris: Sequence[str]
) -> tuple[str, list[str], dict[str, str]] | None:
    """What an interrupted call has packed of the same files, if it could read all of them."""
    note = f"{number:05d}.unfinished.json"
    if not folder.has(note):
        return None
    known = folder.read_json(note)
    packed = list(uris[: known["files"]])
    same = known["digest"] == _digest(packed) and folder.has(known["shard"])
    return (known["shard"], packed, {}) if same and packed else None


def _write_shard(
    folder: Folder, number: int, uris: Sequence[str], threads: int
) -> tuple[str, list[str], dict[str, str]]:
    packed: list[str] = []
    failed: dict[str, str] = {}
    buffer = io.BytesIO()
    write_shard(buffer, _contents(uris, packed, failed, threads))
    data = buffer.getvalue()
    # Named by what is in it: no shard that somebody reads is ever written over.
    shard = f"shard-{number:05d}-{hashlib.blake2b(data, digest_size=8).hexdigest()}.parquet"
    if packed:
        folder.write_bytes(shard, data)
    if not failed:
        note = {"shard": shard, "files": len(packed), "digest": _digest(packed)}
        folder.write_json(f"{number:05d}.unfinished.json", note)
    return shard, packed, failed


def _digest(uris: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(uris).encode(), digest_size=16).hexdigest()


def _write_table(folder: Folder, what: str, table: pa.Table) -> str:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    data = buffer.getvalue()
    # Named by what is in it, as shards are: readers of the pack before still find theirs.
    name = f"{what}-{hashlib.blake2b(data, digest_size=8).hexdigest()}.parquet"
    folder.write_bytes(name, data)
    return name


def _read_table(folder: str, name: str, schema: pa.Schema) -> list[dict[str, Any]]:
    if not _TABLE.fullmatch(str(name)):
        raise DataError(f"{folder}: {name!r} is no table's name: do not trust this pack")
    data = read_bytes(join(folder, name))
    # Before it is read: strange columns may take much more memory than ours.
    if pq.read_schema(io.BytesIO(data)).remove_metadata() != schema:
        raise DataError(f"{folder}: {name} has other columns than ours: do not trust this pack")
    rows: list[dict[str, Any]] = read_within(data).to_pylist()
    return rows


def _tidy(folder: Folder, needed: set[str]) -> None:
    """Remove what a whole pack does not need: what earlier packs, crashes and notes have left."""
    for name in folder.names():
        ours = _SHARD.fullmatch(name) or _TABLE.fullmatch(name) or _LEFT_BEHIND.fullmatch(name)
        if ours and name not in needed:
            folder.remove(name)


def _contents(
    uris: Sequence[str], packed: list[str], failed: dict[str, str], threads: int
) -> Iterator[bytes]:
    """Yield files until a shard is full, and say in the lists which were read and which not."""

    def read(uri: str) -> bytes | ImageError:
        try:
            content = read_bytes(uri)
            check_header(content)
            return content
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


def _row(folder: str, row: dict[str, Any]) -> ImageRow:
    shard, place = row.pop("shard"), row.pop("row")
    if not _SHARD.fullmatch(shard):
        raise DataError(f"{folder}: {shard!r} is no shard's name: do not trust this pack")
    crop, points = row.pop("crop"), row.pop("points")
    return ImageRow(
        **row,
        uri=packed_uri(join(folder, shard), place),
        crop=None if crop is None else tuple(crop),
        points=None if points is None else [tuple(point) for point in points],
    )
