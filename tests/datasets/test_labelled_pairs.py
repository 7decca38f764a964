from collections.abc import Callable
from pathlib import Path

import pytest

from rankloop.datasets.labelled_pairs import read_labelled_pairs
from rankloop.errors import DataError

WriteCsv = Callable[[Path, str], str]
WritePhotos = Callable[..., list[str]]


@pytest.mark.parametrize("first", ["a.png", "a", "LEFT", "1"])
@pytest.mark.parametrize("second", ["b.png", "B", "right", "2"])
def test_every_way_to_say_which_is_better(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos, first: str, second: str
) -> None:
    write_photos(tmp_path, ["a.png", "b.png", "c.png"])
    text = f"image_a,image_b,better\na.png,b.png,{first}\nc.png,b.png,{second}\n"
    part = read_labelled_pairs(write_csv(tmp_path / "x.csv", text), {})
    assert list(part.pairs) == [("a.png", "b.png"), ("b.png", "c.png")]
    assert [row.image for row in part.images] == ["a.png", "b.png", "c.png"]
    assert part.counts == {}


def test_a_name_goes_before_a_word(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path, ["one.png"])
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
    path = write_csv(tmp_path / "x.csv", "image_a,image_b,better\nb,a,a\n")
    assert list(read_labelled_pairs(path, {}).pairs) == [("a", "b")]


def test_votes_become_labels_ties_and_missing_images_are_counted(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path / "p", ["a.png", "b.png", "c.png"])
    lines = [
        "x,y,annotator,better",
        "a.png,b.png,1,a",
        "b.png,a.png,2,right",
        "a.png,b.png,3,b",
        "a.png,b.png,3,b",  # the same opinion twice counts once
        "a.png,c.png,1,a",
        "a.png,c.png,2,b",
        "b.png,c.png,1,tie",
        "gone.png,c.png,1,a",
    ]
    path = write_csv(tmp_path / "x.csv", "\n".join(lines))
    part = read_labelled_pairs(path, {"images": str(tmp_path / "p")})
    assert list(part.pairs) == [("a.png", "b.png")]
    assert part.counts == {"ties": 2, "pairs_with_missing_image": 1}
    assert [image for image, _ in part.skipped] == ["gone.png"]
    assert part.labelled == {"a.png", "b.png"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_a,image_b\na.png,b.png\n", "no column 'better'.*add a header line"),
        ("a.png,b.png,a\na.png,b.png,a\n", "no column 'better'.*add a header line"),
        ("image_a,other,better\na.png,b.png,a\n", "no column 'image_b'"),
        ("x,better,y\na.png,a,b.png\n", "'better' is among the first two"),
        ("image_a,image_b,better\na.png,b.png,sharp\n", "line 2: better = 'sharp' is neither"),
        ("image_a,image_b,better\na.png,b.png,\n", "line 2: better = '' is neither"),
        ("image_a,image_b,better\na.png,a.png,a\n", "line 2: a pair needs two different images"),
        ("image_a,image_b,better\na.png,,a\n", "line 2: a pair needs two different images"),
        ("image_a,image_b,better\ngone.png,lost.png,a\n", "none of the 2 images"),
    ],
)
def test_bad_lists(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos, text: str, message: str
) -> None:
    write_photos(tmp_path, ["a.png", "b.png"])
    with pytest.raises(DataError, match=message):
        read_labelled_pairs(write_csv(tmp_path / "x.csv", text), {})
