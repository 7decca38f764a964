from pathlib import Path

import fsspec
import pytest

from rankloop.errors import DataError
from rankloop.scoring.paths import expand_paths, images_of_sources


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.png",
        "a.JPG",
        "notes.txt",
        "sub/c.jpeg",
        ".hidden.png",
        ".git/d.png",
        "odd.raw",
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tree"


def test_folders_give_their_images_sorted_spelled_as_the_user_did(tree: Path) -> None:
    names = ["a.JPG", "b.png", "sub/c.jpeg"]
    assert expand_paths(["tree"]) == [f"tree/{name}" for name in names]
    assert expand_paths(["tree/"]) == expand_paths(["tree"])
    assert expand_paths([str(tree)]) == [f"{tree}/{name}" for name in names]
    assert expand_paths([f"file://{tree}"]) == [f"file://{tree}/{name}" for name in names]


def test_files_are_taken_whatever_they_are_called_in_the_order_given(tree: Path) -> None:
    assert expand_paths(["tree/odd.raw", "tree/b.png"]) == ["tree/odd.raw", "tree/b.png"]


def test_each_image_comes_once(tree: Path) -> None:
    assert expand_paths(["tree/b.png", "tree"]) == ["tree/b.png", "tree/a.JPG", "tree/sub/c.jpeg"]


def test_a_link_back_to_the_folder_is_not_followed(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree)
    assert len(expand_paths(["tree"])) == 3


def test_buckets_are_listed() -> None:
    filesystem = fsspec.filesystem("memory")
    for name in ("x/2.png", "x/1.png", "x/readme.md"):
        filesystem.pipe(f"/scoring-paths/{name}", b"")
    assert expand_paths(["memory://scoring-paths"]) == [
        "memory://scoring-paths/x/1.png",
        "memory://scoring-paths/x/2.png",
    ]
    assert expand_paths(["memory://scoring-paths/x/readme.md"]) == [
        "memory://scoring-paths/x/readme.md"
    ]


@pytest.mark.parametrize("path", ["tree/none.png", "nowhere", "memory://nowhere/a.png", "odd://x"])
def test_a_path_that_is_not_there_is_named(tree: Path, path: str) -> None:
    with pytest.raises(DataError, match=path):
        expand_paths(["tree", path])


def test_no_image_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"give images, or folders with .*\.png"):
        expand_paths([str(tmp_path)])
    with pytest.raises(DataError, match="no path"):
        expand_paths([])


def test_images_of_data_sources(tree: Path) -> None:
    names = ["a.JPG", "b.png", "sub/c.jpeg"]
    found, skipped = images_of_sources([f"folder:{tree}", f"folder:{tree}/sub"])
    assert sorted(found) == [f"{tree}/{name}" for name in names]
    assert skipped == ()
    (tree / "list.csv").write_text("image,score\nb.png,1\nnone.png,2\n")
    found, ((image, reason),) = images_of_sources([f"csv:{tree}/list.csv?higher_is_better=true"])
    assert found == {f"{tree}/b.png": "b.png"}
    assert image == "none.png"
    assert "none.png" in reason


def test_crops_are_no_whole_images(tmp_path: Path) -> None:
    for name, text in (
        ("crops.txt", "LFW>>a.jpg>>0 0 5 5>>c.jpg\n"),
        ("supervised.txt", "c.jpg,d.jpg\n"),
        ("unsupervised.txt", "c.jpg,d.jpg\n"),
        ("images/d.jpg", ""),
        ("images/LFW/a.jpg", ""),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(
        DataError, match="is a crop of a photograph, shrunk, or has a region of interest, and"
    ):
        images_of_sources([f"ssranking:{tmp_path}"])
