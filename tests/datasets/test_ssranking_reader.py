from collections.abc import Callable
from pathlib import Path

import pytest

from rankloop.datasets.ssranking import read_ssranking
from rankloop.datasets.ssranking_lists import read_list
from rankloop.errors import DataError

WriteCsv = Callable[[Path, str], str]
WritePhotos = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("x.txt", "LFW>>A B/a 1.jpg>>1 2 30 40>>a_1.jpg\n", "crop list"),
        ("FIB_sup_10k.txt", "a.jpg,b.jpg\nc.jpg, d.jpg\n", "supervised pairs"),
        ("train.csv", "Image_left,Image_right\na.jpg,b.jpg\n", "supervised pairs"),
        ("FIB-unsupervised.txt", "a.jpg,b.jpg\n", "unsupervised pairs"),
        ("unlabeled.csv", "a.jpg,b.jpg\n", "unsupervised pairs"),
        ("Test1.txt", "image_name order\na b.jpg 1\n", "test ranking"),
        ("Test1.csv", "a.PNG,1\n", "test ranking"),
        ("README.txt", "Hello, world\n", None),
        ("empty.txt", "\n", None),
    ],
)
def test_lists_are_recognised_by_form_and_name(name: str, text: str, kind: str | None) -> None:
    found = read_list(name, text)
    assert (found.kind if found else None) == kind


def test_values_of_the_lists() -> None:
    crops = read_list("x.txt", "LFW>>A/a 1.jpg>>1 2 30 40>>a_1.jpg")
    assert crops is not None
    (crop,) = crops.crops()
    assert (crop.image, crop.original, crop.box) == ("a_1.jpg", "LFW/A/a 1.jpg", (1, 2, 30, 40))
    pairs = read_list("sup.txt", "a b.jpg , c.jpg")
    assert pairs is not None
    assert pairs.pairs() == [("a b.jpg", "c.jpg")]
    ranks = read_list("t.txt", "a b.jpg 12\nc.jpg 3.5")
    assert ranks is not None
    assert ranks.ranks() == {"a b.jpg": 12.0, "c.jpg": 3.5}


def test_bad_list_files() -> None:
    with pytest.raises(DataError, match=r"cannot tell whether the pairs in x.txt are supervised"):
        read_list("x.txt", "a.jpg,b.jpg")
    with pytest.raises(DataError, match=r"sup.txt, line 3: 'c.jpg 4' has not the form"):
        read_list("sup.txt", "a.jpg,b.jpg\n\nc.jpg 4\n")
    with pytest.raises(DataError, match=r"line 2: 'LFW>>a.jpg>>1 2 3>>b.jpg' has not"):
        read_list("c.txt", "LFW>>a.jpg>>1 2 3 4>>b.jpg\nLFW>>a.jpg>>1 2 3>>b.jpg")


@pytest.fixture
def release(tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos) -> Path:
    write_photos(tmp_path / "images", ["c0.jpg", "c1.jpg", "u0.jpg", "t0.jpg", "t1.jpg"])
    write_photos(tmp_path / "images", ["LFW/p/photo2.jpg"])
    crops = [f"LFW>>p/photo{i}.jpg>>{i} 0 10 12>>c{i}.jpg" for i in range(4)]
    write_csv(tmp_path / "lists/crops.txt", "\n".join(crops))
    supervised = "c0.jpg,c1.jpg\nc2.jpg,c0.jpg\nc0.jpg,c1.jpg\nc1.jpg,c2.jpg\nc2.jpg,c1.jpg\n"
    write_csv(tmp_path / "lists/supervised.txt", supervised + "c0.jpg,c3.jpg\n")
    write_csv(tmp_path / "lists/unsupervised.txt", "u0.jpg,c1.jpg\n")
    write_csv(tmp_path / "lists/test1.txt", "t0.jpg 1\nt1.jpg 2\n")
    write_csv(tmp_path / "README.txt", "Dataset of a paper.\n")
    return tmp_path


def test_release(release: Path) -> None:
    part = read_ssranking(str(release), {})
    # Left is better, because right is more blurred; c1 against c2 is a tie, c3 has no image.
    assert list(part.pairs) == [("c0.jpg", "c1.jpg"), ("c2.jpg", "c0.jpg")]
    assert part.counts == {
        "lists/crops.txt: crop list": 4,
        "lists/supervised.txt: supervised pairs": 6,
        "lists/unsupervised.txt: unsupervised pairs": 1,
        "lists/test1.txt: test ranking": 2,
        "ties": 1,
        "pairs_with_missing_image": 1,
    }
    assert [image for image, _ in part.skipped] == ["c3.jpg"]
    rows = {row.image: row for row in part.images}
    assert rows.keys() == {"c0.jpg", "c1.jpg", "c2.jpg", "u0.jpg", "t0.jpg", "t1.jpg"}
    assert rows["c0.jpg"].crop is None
    assert rows["c0.jpg"].uri == str(release / "images/c0.jpg")
    assert rows["c0.jpg"].source == "LFW/p/photo0.jpg"
    assert rows["c2.jpg"].crop == (2, 0, 10, 12)
    assert rows["c2.jpg"].uri == str(release / "images/LFW/p/photo2.jpg")
    assert [rows[t].score for t in ("t0.jpg", "t1.jpg", "c0.jpg")] == [1.0, 2.0, None]
    assert [rows[t].split for t in ("t0.jpg", "t1.jpg", "c0.jpg")] == ["test", "test", None]
    # A larger order is more blurred.
    assert (part.higher_is_better, part.score_name) == (False, "blur rank")


def test_images_folder_by_option(release: Path) -> None:
    (release / "images").rename(release / "elsewhere")
    part = read_ssranking(str(release), {"images": str(release / "elsewhere")})
    assert len(part.images) == 6
    with pytest.raises(DataError, match=r"none of the 7 images .* add \?images=FOLDER"):
        read_ssranking(str(release), {})


def test_one_of_several_test_rankings_must_be_chosen(release: Path) -> None:
    (release / "lists/test2.txt").write_text("u0.jpg 1\nt1.jpg 2\n")
    with pytest.raises(
        DataError, match=r"choose one with \?test=NAME from lists/test1, lists/test"
    ):
        read_ssranking(str(release), {})
    part = read_ssranking(str(release), {"test": "lists/test2"})
    assert {r.image: r.score for r in part.images if r.score} == {"u0.jpg": 1.0, "t1.jpg": 2.0}
    with pytest.raises(DataError, match="no test ranking is named 'test9': choose from"):
        read_ssranking(str(release), {"test": "test9"})


def test_without_supervised_pairs(release: Path) -> None:
    (release / "lists/supervised.txt").unlink()
    with pytest.raises(DataError, match=r"no list of supervised pairs \(lists/crops.txt is a crop"):
        read_ssranking(str(release), {})


@pytest.mark.parametrize(
    ("dataset", "listed", "file"),
    [
        ("LFW", "Aaron_Eckhart_0001.jpg", "lfw/Aaron_Eckhart/Aaron_Eckhart_0001.jpg"),
        ("CASIA-WebFace", "0000045/001.jpg", "0000045/001.jpg"),
        ("WiderFace", "0_Parade_marchingband_1_849.jpg",
         "WIDER_train/images/0--Parade/0_Parade_marchingband_1_849.jpg"),
        ("MegaFace", "8032652775_0.jpg", "FlickrFinal2/901/9019583@N08/8032652775_0.jpg"),
    ],
)  # fmt: skip
def test_photographs_are_found_where_each_data_set_has_them(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos,
    dataset: str, listed: str, file: str,
) -> None:  # fmt: skip
    write_photos(tmp_path / "images" / dataset, [file, "other/second.jpg", "twice/x.jpg", "x.jpg"])
    crops = [f"{dataset}>>{listed}>>0 0 10 12>>a.jpg", f"{dataset}>>second.jpg>>2 0 10 12>>b.jpg"]
    crops.append(f"{dataset}>>no/x.jpg>>0 0 4 4>>c.jpg")
    write_csv(tmp_path / "lists/crops.txt", "\n".join(crops))
    write_csv(tmp_path / "lists/supervised.txt", "a.jpg,b.jpg\nc.jpg,a.jpg\n")
    part = read_ssranking(str(tmp_path), {})
    folder = tmp_path / "images" / dataset
    assert {row.image: row.uri for row in part.images} == {
        "a.jpg": str(folder / file),
        "b.jpg": str(folder / "other/second.jpg"),
    }
    # Two files have that name, and neither the folder that the list gives.
    assert [image for image, _ in part.skipped] == ["c.jpg"]
