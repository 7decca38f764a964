from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from rankloop.datasets.folder import read_folder
from rankloop.errors import DataError


def test_tree_of_images_sorted_in_any_letter_case(
    tmp_path: Path, write_photos: Callable[..., list[str]]
) -> None:
    names = write_photos(tmp_path, ["b/two.JPG", "b/one.png", "a.jpeg"])
    (tmp_path / "notes.txt").write_text("not an image")
    part = read_folder(str(tmp_path))
    assert [row.image for row in part.images] == sorted(names)
    assert part.images[0].uri == str(tmp_path / "a.jpeg")
    assert part.images[0].source is part.images[0].split is part.images[0].score is None


def test_relative_folders_become_absolute(
    tmp_path: Path, write_photos: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path / "photos", ["a.png"])
    monkeypatch.chdir(tmp_path)
    assert read_folder("photos").images[0].uri == str(tmp_path / "photos" / "a.png")


def test_folder_behind_fsspec() -> None:
    fsspec.filesystem("memory").pipe({"/folder_reader/a/b.png": b""})
    (row,) = read_folder("memory://folder_reader").images
    assert (row.image, row.uri) == ("a/b.png", "memory://folder_reader/a/b.png")


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist: give an existing folder"):
        read_folder(str(tmp_path / "none"))
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(DataError, match=r"holds no image \(1 other files\): give one with .*jpg"):
        read_folder(str(tmp_path))


def test_images_of_formats_that_are_not_read_are_counted(tmp_path: Path):
    for name in ("a.png", "b.TIF", "c/d.gif", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    part = read_folder(str(tmp_path))
    assert [row.image for row in part.images] == ["a.png"]
    assert part.counts == {"images_of_other_formats": 2}
