from collections.abc import Callable
from pathlib import Path

import pytest

from rankloop.datasets.scored_images import read_scored_images
from rankloop.errors import DataError

WriteCsv = Callable[[Path, str], str]
WritePhotos = Callable[..., list[str]]
HIGHER = {"higher_is_better": "true"}


def test_images_scores_sources_and_splits(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path, ["a.png", "b.png", "c.png"])
    text = "image,score,source,split\na.png,3.5,s,test\nb.png,1,s,test\nc.png,,,\ngone.png,2,,\n"
    part = read_scored_images(write_csv(tmp_path / "x.csv", text), {"higher_is_better": "False"})
    assert [(r.image, r.score, r.source, r.split) for r in part.images] == [
        ("a.png", 3.5, "s", "test"),
        ("b.png", 1.0, "s", "test"),
        ("c.png", None, None, None),
    ]
    assert (part.higher_is_better, part.score_name) == (False, "score")
    assert part.counts == {"images_without_score": 1}
    ((image, reason),) = part.skipped
    assert image == "gone.png"
    assert reason.endswith("gone.png does not exist")


def test_a_name_that_is_encoded_for_ever_costs_its_row_only(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path, ["a.png"])
    name = "x%" + "25" * 400 + "3A%2F%2Fa.png"
    path = write_csv(tmp_path / "x.csv", f"image,score\n{name},1\na.png,2\n")
    part = read_scored_images(path, HIGHER)
    assert [row.image for row in part.images] == ["a.png"]
    assert part.skipped == (("…", f"{tmp_path}/… does not exist"),)


def test_columns_and_folder_by_option(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path / "photos", ["a.png"])
    path = write_csv(tmp_path / "x.csv", "file,mos,score\na.png,40,x\n")
    options = {"image": "file", "score": "mos", "images": str(tmp_path / "photos")} | HIGHER
    part = read_scored_images(path, options)
    assert part.images[0].uri == str(tmp_path / "photos" / "a.png")
    assert part.images[0].score == 40
    assert part.score_name == "mos"


@pytest.mark.parametrize("options", [{}, {"higher_is_better": "yes"}])
def test_the_direction_must_be_stated(
    tmp_path: Path, write_csv: WriteCsv, options: dict[str, str]
) -> None:
    with pytest.raises(
        DataError, match=r"add \?higher_is_better=true .* or \?higher_is_better=fal"
    ):
        read_scored_images(write_csv(tmp_path / "x.csv", "image,score\na,1\n"), options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,mos\na.png,1\n", r"no column 'score'.*add \?score=COLUMN"),
        ("name,score\na.png,1\n", r"no column 'image'.*add \?image=COLUMN"),
        ("image,score\na.png,good\n", "line 2: score 'good' is not a finite number"),
        ("image,score\na.png,nan\n", "line 2: score 'nan' is not a finite number"),
        ("image,score\n,1\n", "line 2: no image name"),
        ("image,score\na.png,\n", "no score in column 'score'"),
        ("image,score\na.png,1\na.png,2\n", "line 3: image 'a.png' is listed before, in .*line 2"),
        ("image,score,split\na.png,1,val\n", "split 'val' is none of train, validation, test"),
        ("image,score\ngone.png,1\n", r"none of the 1 images listed .* add \?images=FOLDER"),
    ],
)
def test_bad_lists(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos, text: str, message: str
) -> None:
    write_photos(tmp_path, ["a.png"])
    with pytest.raises(DataError, match=message):
        read_scored_images(write_csv(tmp_path / "x.csv", text), HIGHER)


def test_a_named_column_must_exist(tmp_path: Path, write_csv: WriteCsv) -> None:
    path = write_csv(tmp_path / "x.csv", "image,score\na.png,1\n")
    with pytest.raises(DataError, match="no column 'person'"):
        read_scored_images(path, HIGHER | {"source": "person"})
