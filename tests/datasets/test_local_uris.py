"""file:// and local:// are other names of paths, and no way around what holds for those."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rankloop.datasets.locations import absolute
from rankloop.datasets.readers import read_sources
from rankloop.datasets.scored_images import read_scored_images

WritePhotos = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b c.csv", "/a/b c.csv"),
        ("file:///a%20b/../c", "/c"),
        ("file://localhost/a", "/a"),
        ("local:///a/b", "/a/b"),
        ("s3://bucket/a?region=x", "s3://bucket/a?region=x"),
        ("/a/file://b", "/a/file://b"),
    ],
)
def test_they_become_paths(uri: str, path: str):
    assert absolute(uri) == path


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_links_that_lead_out_are_skipped(tmp_path: Path, write_photos: WritePhotos, scheme: str):
    write_photos(tmp_path, ["outside.png"])
    photos = tmp_path / "photos"
    write_photos(photos, ["good.png"])
    (photos / "link.png").symlink_to(tmp_path / "outside.png")
    (photos / "linked").symlink_to(tmp_path)
    lines = ["good.png,1", "link.png,2", "linked/outside.png,3"]
    (photos / "list.csv").write_text("\n".join(["image,score", *lines]))
    for path, options in (
        (f"{scheme}://{photos}/list.csv", {}),
        (f"{photos}/list.csv", {"images": f"{scheme}://{photos}"}),
    ):
        part = read_scored_images(path, {"higher_is_better": "true", **options})
        assert [row.uri for row in part.images] == [f"{photos}/good.png"]
        assert all("names no file inside" in why for _, why in part.skipped)
        assert len(part.skipped) == 2


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_folder_is_read_as_its_path_is(tmp_path: Path, write_photos: WritePhotos, scheme: str):
    write_photos(tmp_path, ["a b.png", "c/d.png"])
    direct = read_sources([f"folder:{tmp_path}"], seed=0)
    assert read_sources([f"folder:{scheme}://{tmp_path}"], seed=0) == direct
