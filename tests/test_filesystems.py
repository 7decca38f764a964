from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow.fs as pafs
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

import rankloop.filesystems as module
from rankloop.filesystems import join_uri, open_at_random, open_uri


def test_a_name_below_a_folder_keeps_the_options_at_the_end():
    assert join_uri("s3://b/x/?region=y", "a/b.jpg") == "s3://b/x/a/b.jpg?region=y"
    assert join_uri("memory://x", "a.jpg") == "memory://x/a.jpg"


@pytest.mark.parametrize("name", ["a b.txt", "a%20b.txt", "what?.txt", "x#1+2.txt", "é.txt"])
def test_any_name_can_be_joined(tmp_path: Path, name: str):
    (tmp_path / name).write_text("hello")
    filesystem, path = open_uri(join_uri(f"file://{tmp_path}", name))
    assert filesystem.open_input_stream(path).read() == b"hello"


def test_a_name_adds_no_options():
    uri = join_uri("s3://bucket/x?region=y", "a?endpoint_override=elsewhere&scheme=http")
    assert uri == "s3://bucket/x/a%3Fendpoint_override%3Delsewhere%26scheme%3Dhttp?region=y"


def test_paths_of_hdfs_are_absolute(monkeypatch: pytest.MonkeyPatch):
    local = pafs.LocalFileSystem()
    monkeypatch.setattr(module, "_connected", lambda root: (local, "/"))
    assert open_uri("hdfs://host:8020/data/photos") == (local, "/data/photos")


def test_what_fsspec_knows():
    filesystem, path = open_uri("memory://rankloop-filesystems/a.txt")
    with filesystem.open_output_stream(path) as stream:
        stream.write(b"hello")
    again, path = open_uri("memory://rankloop-filesystems/a.txt")
    assert again.open_input_stream(path).read() == b"hello"


class RangesFile(AbstractBufferedFile):
    """A remote file of which parts are fetched."""

    fetched: ClassVar[list[tuple[int, int]]] = []

    def _fetch_range(self, start: int, end: int) -> bytes:
        self.fetched.append((start, end))
        return bytes(end - start)


class Ranges(AbstractFileSystem):
    """A file system of one file of 20 MB."""

    protocol = "ranges"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> RangesFile:
        return RangesFile(self, path, mode, size=20_000_000, **options)


def test_nothing_is_read_ahead_of_a_file_opened_at_random():
    fsspec.register_implementation("ranges", Ranges, clobber=True)
    file = open_at_random("ranges://x")
    for place in (1_000, 9_000_000):
        file.seek(place)
        assert len(file.read(10)) == 10
    assert RangesFile.fetched == [(1_000, 1_010), (9_000_000, 9_000_010)]


def test_one_connection_for_all_objects_of_a_bucket(s3_folder: str):
    first, path = open_uri(join_uri(s3_folder, "a/b.txt"))
    second, _ = open_uri(join_uri(s3_folder, "c.txt"))
    assert first is second
    assert path.endswith("/results/a/b.txt")
    with first.open_output_stream(path) as stream:
        stream.write(b"hello")
    assert first.open_input_stream(path).read() == b"hello"


def test_unknown_schemes():
    with pytest.raises(ValueError, match="nowhere"):
        open_uri("nowhere://a/b")
