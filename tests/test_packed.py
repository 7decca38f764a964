import io
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rankloop.packed as module
from rankloop.errors import ImageError
from rankloop.filesystems import join_uri, open_at_random, open_uri
from rankloop.images import read_bytes
from rankloop.packed import packed_uri, read_packed, write_shard


@settings(max_examples=30, deadline=None)
@given(contents=st.lists(st.binary(max_size=200), min_size=1, max_size=40))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]):
    shard = tmp_path_factory.mktemp("packed") / "x.parquet"
    with open(shard, "wb") as file:
        assert write_shard(file, contents) == len(contents)
    found = [read_packed(packed_uri(str(shard), row)) for row in range(len(contents))]
    assert found == contents


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[bytes]]:
    """A shard of several groups, and what is in it."""
    monkeypatch.setattr(module, "_GROUP_BYTES", 1000)
    sizes = np.random.default_rng(0).integers(0, 700, 60)
    contents = [bytes([i]) * int(size) for i, size in enumerate(sizes)]
    path = tmp_path / "shard.parquet"
    with open(path, "wb") as file:
        write_shard(file, contents)
    return str(path), contents


def test_groups_are_small_and_images_are_not_stored_twice(shard: tuple[str, list[bytes]]):
    path, contents = shard
    opened = module._known(path)
    assert opened.rows == 60
    assert len(opened.starts) > 15
    total = sum(map(len, contents))
    assert total < Path(path).stat().st_size < total + 300 * len(opened.starts)


def test_many_threads_read_at_once(shard: tuple[str, list[bytes]]):
    path, contents = shard
    rows = np.random.default_rng(1).integers(0, 60, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: read_packed(packed_uri(path, row)), rows))
    assert found == [contents[row] for row in rows]


def test_from_a_bucket(shard: tuple[str, list[bytes]], s3_folder: str):
    path, contents = shard
    uri = join_uri(s3_folder, "shard.parquet")
    filesystem, target = open_uri(uri)
    with filesystem.open_output_stream(target) as stream:
        stream.write(Path(path).read_bytes())
    for row in (0, 31, 59):
        assert read_bytes(packed_uri(uri, row)) == contents[row]


def remote_shards(count: int) -> tuple[list[str], list[bytes]]:
    """URIs of shards that fsspec opens, and what each holds alone."""
    contents = [f"content {number}".encode() for number in range(count)]
    shards = [f"memory://rankloop-packed/{uuid.uuid4().hex}" for _ in contents]
    for shard, content in zip(shards, contents, strict=True):
        filesystem, path = open_uri(shard)
        with filesystem.open_output_stream(path) as stream:
            write_shard(stream, [content])
    return shards, contents


def test_a_remote_shard_is_opened_once(monkeypatch: pytest.MonkeyPatch):
    """However many there are: a pack of a million images has a thousand shards."""
    shards, contents = remote_shards(2 * module._PARSED_SHARDS)
    opened: list[str] = []

    def counting(uri: str) -> pa.NativeFile:
        opened.append(uri)
        return open_at_random(uri)

    monkeypatch.setattr(module, "open_at_random", counting)
    for _ in range(2):
        found = [read_packed(packed_uri(shard, 0)) for shard in shards]
        assert found == contents
    assert opened == shards


def test_a_shard_in_a_bucket_is_read_by_threads_at_once(
    shard: tuple[str, list[bytes]], s3_folder: str, monkeypatch: pytest.MonkeyPatch
):
    path, contents = shard
    uri = join_uri(s3_folder, "shard.parquet")
    filesystem, target = open_uri(uri)
    with filesystem.open_output_stream(target) as stream:
        stream.write(Path(path).read_bytes())
    together = threading.Barrier(4, timeout=20)
    reader = pq.ParquetFile

    class Meeting(reader):
        def read_row_group(self, *arguments: Any, **options: Any) -> pa.Table:
            together.wait()
            return super().read_row_group(*arguments, **options)

    read_packed(packed_uri(uri, 0))
    monkeypatch.setattr(module.pq, "ParquetFile", Meeting)
    groups = module._known(uri).starts[1:9].tolist()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: read_packed(packed_uri(uri, row)), groups))
    assert found == [contents[row] for row in groups]


def test_a_file_of_fsspec_is_read_by_many_threads(shard: tuple[str, list[bytes]]):
    path, contents = shard
    uri = f"memory://rankloop-packed/{uuid.uuid4().hex}"
    filesystem, target = open_uri(uri)
    with filesystem.open_output_stream(target) as stream:
        stream.write(Path(path).read_bytes())
    rows = np.random.default_rng(1).integers(0, 60, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: read_packed(packed_uri(uri, row)), rows))
    assert found == [contents[row] for row in rows]


@pytest.mark.parametrize("row", ["60", "-1", "x", ""])
def test_rows_that_are_not_there(shard: tuple[str, list[bytes]], row: str):
    with pytest.raises(ImageError, match="cannot read pack:"):
        read_bytes(f"pack:{shard[0]}#{row}")


def test_a_shard_that_is_none(tmp_path: Path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and then nothing")
    for name in ("x.parquet", "missing.parquet"):
        with pytest.raises(ImageError, match=r"cannot read pack:|does not exist"):
            read_bytes(packed_uri(str(tmp_path / name), 0))


def test_an_empty_shard():
    buffer = io.BytesIO()
    assert write_shard(buffer, []) == 0
