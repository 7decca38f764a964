import os
from pathlib import Path

import fsspec
import pytest

from rankloop.datasets.locations import absolute, exist, join, list_files, parent, read_text
from rankloop.errors import DataError


def test_join_and_parent() -> None:
    assert join("/a/b", "x/../c.jpg") == "/a/b/c.jpg"
    assert join("s3://bucket/a", "c.jpg") == "s3://bucket/a/c.jpg"
    assert parent("/a/b.csv") == "/a"
    assert parent("/b.csv") == "/"
    assert parent("s3://bucket/a/b.csv") == "s3://bucket/a"
    assert absolute("x") == os.path.join(os.getcwd(), "x")


def test_listing_is_sorted_relative_and_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/z.jpg", "b/a.jpg", "a.jpg", "._a.jpg", ".cache/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list_files(str(tmp_path)) == ["a.jpg", "b/a.jpg", "b/z.jpg"]


def test_listing_through_fsspec() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/listed/b/z.jpg": b"1", "/listed/a.jpg": b"2"})
    assert list_files("memory://listed") == ["a.jpg", "b/z.jpg"]
    assert exist(["memory://listed/a.jpg", "memory://listed/c.jpg"]) == [True, False]
    with pytest.raises(DataError, match="does not exist"):
        list_files("memory://elsewhere")


def test_bad_folders_and_files(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="does not exist: give an existing folder"):
        list_files(str(tmp_path / "none"))
    with pytest.raises(DataError, match="is a file, not a folder"):
        list_files(str(file))
    with pytest.raises(DataError, match="cannot list"):
        list_files("nosuchscheme://x")
    with pytest.raises(DataError, match="does not exist: give an existing file"):
        read_text(str(tmp_path / "none"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_text(str(file))
    with pytest.raises(DataError, match="cannot look for"):
        exist(["nosuchscheme://x"])
