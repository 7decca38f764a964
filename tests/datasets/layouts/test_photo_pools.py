"""Readers of photographs without labels, on trees of the released layouts."""

from collections.abc import Callable
from pathlib import Path

from rankloop.datasets.part import Part
from rankloop.datasets.readers import read_sources

WritePhotos = Callable[..., list[str]]


def _read(spec: str) -> Part:
    return read_sources([spec], seed=0)


def test_pools(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path / "w" / "pristine_images", ["00001.bmp", "04744.bmp"])
    write_photos(tmp_path / "w", ["other.bmp"])
    part = _read(f"waterloo:{tmp_path}/w")
    assert [row.image for row in part.images] == [
        "pristine_images/00001.bmp",
        "pristine_images/04744.bmp",
    ]
    assert part.higher_is_better is None
    write_photos(tmp_path / "p", ["a/airfield/00000001.jpg", "a/apartment_building/outdoor/2.jpg"])
    assert len(_read(f"places2:{tmp_path}/p").images) == 2
    write_photos(tmp_path / "v", ["Places365_val_00000001.jpg"])
    assert len(_read(f"places2:{tmp_path}/v").images) == 1
