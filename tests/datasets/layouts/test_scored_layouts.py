"""Readers of image quality data sets, on trees of the released layouts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
import scipy.io

from rankloop.datasets.part import ImageRow, Part
from rankloop.datasets.readers import read_sources
from rankloop.errors import ConfigError, DataError

WriteCsv = Callable[[Path, str], str]
WritePhotos = Callable[..., list[str]]


def _read(spec: str) -> Part:
    return read_sources([spec], seed=0)


def _rows(part: Part) -> Mapping[str, ImageRow]:
    return {row.image: row for row in part.images}


def _write_sheet(path: Path, rows: list[list[Any]], sheet: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    if sheet is not None:
        book.active.title = "historical"
        book.create_sheet(sheet)
    page = book.active if sheet is None else book[sheet]
    for row in rows:
        page.append(row)
    book.save(path)


def _cells(values: list[str], shape: tuple[int, int]) -> np.ndarray:
    array = np.empty(shape, object)
    array.ravel()[:] = values
    return array


# TID2013


@pytest.fixture
def tid2013(tmp_path: Path, write_photos: WritePhotos, write_csv: WriteCsv) -> Path:
    # The list and the disk differ in case, as in the release.
    listed = ["I01_01_1.bmp", "i01_16_2.bmp", "I04_09_5.BMP", "i25_24_3.bmp", "i02_13_4.bmp"]
    write_photos(tmp_path / "distorted_images", [name.lower() for name in listed[:4]])
    lines = [f"{5 - i / 10:.5f} {name}" for i, name in enumerate(listed)]
    write_csv(tmp_path / "mos_with_names.txt", "\n".join(lines) + "\n")
    write_csv(tmp_path / "mos_std.txt", "\n".join(["0.1", "0.2", "0.3", "0.4", "0.5"]))
    return tmp_path


def test_tid2013(tid2013: Path):
    part = _read(f"tid2013:{tid2013}")
    assert (part.higher_is_better, part.score_name) == (True, "MOS")
    rows = _rows(part)
    assert list(rows) == ["i01_01_1.bmp", "i01_16_2.bmp", "i04_09_5.bmp", "i25_24_3.bmp"]
    first = rows["i01_01_1.bmp"]
    assert (first.score, first.spread, first.source) == (5.0, 0.1, "i01")
    assert (first.distortion, first.level, first.split) == ("gaussian_noise", 1, None)
    # Its levels go in two directions.
    assert (rows["i01_16_2.bmp"].distortion, rows["i01_16_2.bmp"].level) == ("mean_shift", None)
    assert rows["i04_09_5.bmp"].distortion == "denoising"
    ((missing, reason),) = part.skipped
    assert missing == "i02_13_4.bmp"
    assert reason.endswith("i02_13_4.bmp does not exist")


def test_tid2013_published_split(tid2013: Path):
    rows = _rows(_read(f"tid2013:{tid2013}?split=official"))
    # i25 is artificial, and left out.
    assert {name: row.split for name, row in rows.items()} == {
        "i01_01_1.bmp": None,
        "i01_16_2.bmp": None,
        "i04_09_5.bmp": "test",
    }


def test_no_other_split_by_name(tid2013: Path):
    with pytest.raises(ConfigError, match="the only split by name is split=official"):
        _read(f"tid2013:{tid2013}?split=oficial")


def test_strict_refuses_what_is_missing(tid2013: Path):
    with pytest.raises(DataError, match=r"1 listed images are missing, the first: i02_13_4\.bmp"):
        read_sources([f"tid2013:{tid2013}"], seed=0, strict=True)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("mos_with_names.txt", "5.0 x.bmp\n" * 5, "line 1: '5.0 x.bmp' is not"),
        ("mos_with_names.txt", "high i01_01_1.bmp\n" * 5, "'high' is not a finite number"),
        ("mos_with_names.txt", "5.0 i01_25_1.bmp\n" * 5, "line 1: '5.0 i01_25_1.bmp' is not"),
        ("mos_std.txt", "1\n2\n", "mos_std.txt has 2 lines"),
    ],
)
def test_tid2013_malformed(tid2013: Path, file: str, content: str, message: str):
    (tid2013 / file).write_text(content)
    with pytest.raises(DataError, match=message):
        _read(f"tid2013:{tid2013}")


def test_a_folder_that_is_no_release(tmp_path: Path):
    for reader in ("tid2013", "live", "csiq", "kadid10k", "clive", "bid", "koniq10k", "spaq",
                   "flive", "mlive", "waterloo", "places2"):  # fmt: skip
        with pytest.raises(DataError, match=r"has no |holds no "):
            _read(f"{reader}:{tmp_path}")
    with pytest.raises(ConfigError, match="the nearest is 'koniq10k'"):
        _read(f"koniq:{tmp_path}")


# KADID-10k


def test_kadid10k(tmp_path: Path, write_photos: WritePhotos, write_csv: WriteCsv):
    write_photos(tmp_path / "images", ["I01_01_01.png", "I01.png", "I81_25_05.png"])
    write_csv(
        tmp_path / "dmos.csv",
        "dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.496\n"
        "I81_25_05.png,I81.png,1.5,0.7\nI02_03_04.png,I02.png,2,1\n",
    )
    part = _read(f"kadid10k:{tmp_path}")
    # The column is called dmos, and higher is better in it.
    assert (part.higher_is_better, part.score_name) == (True, "MOS")
    rows = _rows(part)
    assert rows["I01_01_01.png"].score == 4.57
    # Called var, it is a standard deviation.
    assert rows["I01_01_01.png"].spread == 0.496
    assert (rows["I01_01_01.png"].distortion, rows["I01_01_01.png"].level) == ("gaussian_blur", 1)
    assert (rows["I81_25_05.png"].distortion, rows["I81_25_05.png"].source) == (
        "contrast change",
        "I81",
    )
    assert rows["I81_25_05.png"].level is None
    assert [name for name, _ in part.skipped] == ["I02_03_04.png"]


# CSIQ


def test_csiq(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path / "dst_imgs", ["awgn/1600.AWGN.1.png", "jpeg2000/boston.jpeg2000.5.png"])
    blank = [None] * 3
    _write_sheet(
        tmp_path / "csiq.DMOS.xlsx",
        [
            ["CSIQ"],
            [],
            [],
            [*blank, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"],
            [*blank, 1600, 1, "noise", 1, 0.061, 0.062],
            [*blank, "boston", 5, "jpeg 2000", 5, 0.1, 0.9],
            [*blank, "boston", 2, "contrast", 3, 0.1, 0.4],
            [*blank, None, None, None, None, None, None],
        ],
        sheet="all_by_image",
    )
    part = _read(f"csiq:{tmp_path}")
    assert (part.higher_is_better, part.score_name) == (False, "DMOS")
    rows = _rows(part)
    first = rows["awgn/1600.AWGN.1.png"]
    assert (first.score, first.spread, first.source) == (0.062, 0.061, "1600")
    assert (first.distortion, first.level) == ("gaussian_noise", 1)
    assert rows["jpeg2000/boston.jpeg2000.5.png"].distortion == "jpeg2000"
    assert [name for name, _ in part.skipped] == ["contrast/boston.contrast.3.png"]


# LIVE release 2


@pytest.fixture
def live(tmp_path: Path, write_photos: WritePhotos) -> Path:
    write_photos(tmp_path, ["jp2k/img1.bmp", "jp2k/img227.bmp", "jpeg/img1.bmp", "wn/img2.bmp",
                            "fastfading/img174.bmp"])  # fmt: skip
    names = [f"ref{i % 29}.bmp" for i in range(982)]
    scipy.io.savemat(tmp_path / "refnames_all.mat", {"refnames_all": _cells(names, (1, 982))})
    copies = np.zeros((1, 982))
    copies[0, 226] = 1
    scipy.io.savemat(tmp_path / "dmos.mat", {"dmos": np.arange(982.0)[None], "orgs": copies})
    return tmp_path


def test_live(live: Path):
    part = _read(f"live:{live}")
    assert (part.higher_is_better, part.score_name) == (False, "DMOS")
    rows = _rows(part)
    # 227 images of JPEG 2000, of which the last is a copy of its reference.
    assert set(rows) == {"jp2k/img1.bmp", "jpeg/img1.bmp", "wn/img2.bmp", "fastfading/img174.bmp"}
    assert rows["jp2k/img1.bmp"].score == 0.0
    assert (rows["jpeg/img1.bmp"].score, rows["jpeg/img1.bmp"].source) == (227.0, "ref24.bmp")
    assert rows["wn/img2.bmp"].score == 461.0
    assert rows["fastfading/img174.bmp"].score == 981.0
    assert rows["fastfading/img174.bmp"].distortion == "fast_fading"
    assert rows["jp2k/img1.bmp"].spread is None
    assert len(part.skipped) == 982 - 1 - 4


def test_live_realigned_scores_come_first(live: Path):
    scipy.io.savemat(
        live / "dmos_realigned.mat",
        {
            "dmos_new": np.arange(982.0)[None] / 10,
            "dmos_std": np.full((1, 982), 3.0),
            "orgs": np.zeros((1, 982)),
        },
    )
    rows = _rows(_read(f"live:{live}"))
    assert (rows["jpeg/img1.bmp"].score, rows["jpeg/img1.bmp"].spread) == (22.7, 3.0)
    assert "jp2k/img227.bmp" in rows


def test_live_of_another_release(live: Path):
    scipy.io.savemat(live / "dmos.mat", {"dmos": np.zeros((1, 460)), "orgs": np.zeros((1, 460))})
    with pytest.raises(DataError, match="release 2 has 982 each"):
        _read(f"live:{live}")
    (live / "dmos.mat").write_bytes(b"no MATLAB file")
    with pytest.raises(DataError, match="is not a MATLAB file"):
        _read(f"live:{live}")


# LIVE Multiply Distorted


@pytest.mark.parametrize("space", [" ", ""])
def test_mlive(tmp_path: Path, write_photos: WritePhotos, space: str):
    for number, images, names in (
        (1, "blurjpeg", ["seals_blur1.bmp", "seals_blur3_jpeg2.bmp", "wheel_jpeg1.bmp"]),
        (2, "blurnoise", ["seals_blur1.bmp", "seals_blur1_noise3.bmp"]),
    ):
        folder = tmp_path / f"Part{space}{number}"
        write_photos(folder / images, [*names, "seals.bmp"])
        scipy.io.savemat(folder / "Imagelists.mat", {"distimgs": _cells(names, (len(names), 1))})
        scores = 10.0 * number + np.arange(len(names))
        scipy.io.savemat(folder / "Scores.mat", {"DMOSscores": scores[None]})
    part = _read(f"mlive:{tmp_path}")
    assert part.higher_is_better is False
    rows = _rows(part)
    found = {name: (row.score, row.distortion) for name, row in rows.items()}
    assert {row.level for row in rows.values()} == {None}
    # The same file name in both parts is two images with two scores.
    assert found == {
        "blurjpeg/seals_blur1.bmp": (10.0, "blur1_x_jpeg0"),
        "blurjpeg/seals_blur3_jpeg2.bmp": (11.0, "blur3_x_jpeg2"),
        "blurjpeg/wheel_jpeg1.bmp": (12.0, "blur0_x_jpeg1"),
        "blurnoise/seals_blur1.bmp": (20.0, "blur1_x_noise0"),
        "blurnoise/seals_blur1_noise3.bmp": (21.0, "blur1_x_noise3"),
    }
    assert {row.source for row in rows.values()} == {"seals", "wheel"}
    assert len(_read(f"mlive:{tmp_path}?part=2").images) == 2


# CLIVE


def test_clive(tmp_path: Path, write_photos: WritePhotos):
    names = [f"t{i}.bmp" for i in range(1, 8)] + ["100.bmp", "533.JPG", "9.bmp"]
    write_photos(tmp_path / "Images", ["100.bmp", "533.jpg", "t1.bmp"])
    (tmp_path / "Data").mkdir()
    for name, values in (
        ("AllImages_release", _cells(names, (10, 1))),
        ("AllMOS_release", np.arange(10.0)[None]),
        ("AllStdDev_release", np.arange(10.0)[None] / 10),
    ):
        scipy.io.savemat(tmp_path / "Data" / f"{name}.mat", {name: values})
    part = _read(f"clive:{tmp_path}")
    rows = _rows(part)
    # Seven images were for training the annotators.
    assert {name: (row.score, row.spread) for name, row in rows.items()} == {
        "100.bmp": (7.0, 0.7),
        "533.JPG": (8.0, 0.8),
    }
    assert part.higher_is_better is True
    assert [name for name, _ in part.skipped] == ["9.bmp"]


# BID


@pytest.mark.parametrize("folder", ["", "ImageDatabase"])
@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_bid(tmp_path: Path, write_photos: WritePhotos, folder: str, ending: str):
    write_photos(tmp_path / folder, ["DatabaseImage0001.JPG", "DatabaseImage0586.JPG"])
    table = [["Image Number", "Average Subjective Grade", "std"], [1, 2.5, 0.3], [586, 4.0, 0.2]]
    if ending == "xlsx":
        _write_sheet(tmp_path / "DatabaseGrades.xlsx", table)
    else:
        text = "\n".join(",".join(map(str, row)) for row in table)
        (tmp_path / "DatabaseGrades.csv").write_text(text)
    part = _read(f"bid:{tmp_path}")
    assert part.higher_is_better is True
    found = {name: row.score for name, row in _rows(part).items()}
    assert found == {"DatabaseImage0001.JPG": 2.5, "DatabaseImage0586.JPG": 4.0}


def test_bid_in_the_old_format(tmp_path: Path):
    (tmp_path / "DatabaseGrades.xls").write_bytes(b"x")
    with pytest.raises(DataError, match=r"save it beside itself as \.xlsx or \.csv"):
        _read(f"bid:{tmp_path}")


# KonIQ-10k


def test_koniq10k(tmp_path: Path, write_photos: WritePhotos, write_csv: WriteCsv):
    write_photos(tmp_path / "1024x768", ["1.jpg", "2.jpg", "3.jpg", "300.jpg"])
    scores = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore\n"
    scores += "1.jpg,0,1,2,3,4,10,3.8,0.9,77\n2.jpg,0,1,2,3,4,10,2.8,0.8,50\n"
    write_csv(tmp_path / "koniq10k_scores_and_distributions.csv", scores)
    rows = _rows(_read(f"koniq10k:{tmp_path}"))
    assert (rows["1.jpg"].score, rows["1.jpg"].spread, rows["1.jpg"].split) == (3.8, 0.9, None)
    assert set(rows) == {"1.jpg", "2.jpg"}
    with pytest.raises(DataError, match=r"has no koniq10k_distributions_sets\.csv"):
        _read(f"koniq10k:{tmp_path}?split=official")
    sets = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n"
    for name, part in (("1.jpg", "training"), ("2.jpg", "validation"), ("3.jpg", "test")):
        sets += f"{name},0,0,0.3,0.7,0,105,77.4,0.5,{part}\n"
    write_csv(tmp_path / "koniq10k_distributions_sets.csv", sets)
    rows = _rows(_read(f"koniq10k:{tmp_path}?split=official"))
    assert {name: row.split for name, row in rows.items()} == {
        "1.jpg": "train",
        "2.jpg": "validation",
        "3.jpg": "test",
    }
    # Spreads are on another scale than this file's MOS.
    assert (rows["1.jpg"].score, rows["1.jpg"].spread) == (77.4, None)


# SPAQ


def test_spaq(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path / "TestImage", ["00001.jpg", "00002.jpg"])
    _write_sheet(
        tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx",
        [
            ["Image name", "MOS", "Brightness"],
            ["00001.jpg", 48.86, 50.0],
            ["00002.jpg", 62.5, 60.0],
            ["00003.jpg", 1.0, 60.0],
        ],
    )
    part = _read(f"spaq:{tmp_path}")
    assert {name: row.score for name, row in _rows(part).items()} == {
        "00001.jpg": 48.86,
        "00002.jpg": 62.5,
    }
    assert [name for name, _ in part.skipped] == ["00003.jpg"]


# FLIVE


def test_flive(tmp_path: Path, write_photos: WritePhotos, write_csv: WriteCsv):
    names = ["voc_emotic_ava/AVA__1.jpg", "blur_dataset/motion0091.jpg", "EE371R/rq59.jpg"]
    write_photos(tmp_path / "database", names)
    lines = [f"{name},{score}" for name, score in zip(names, (77.0, 0.0, 30.5), strict=True)]
    write_csv(tmp_path / "labels_image.csv", "name,mos\n" + "\n".join(lines))
    rows = _rows(_read(f"flive:{tmp_path}"))
    # A score of exactly 0 is a score.
    assert [rows[name].score for name in names] == [77.0, 0.0, 30.5]
    write_csv(tmp_path / "labels>640.csv", f"mos_image,name_image\n30.5,{names[2]}\n")
    with pytest.raises(DataError, match="640_padded"):
        _read(f"flive:{tmp_path}?split=official")
    # Lists and files differ in case here and there.
    padded = f"name_image,width,is_valid\n{names[0].upper()},5,False\n{names[1]},5,True\n"
    write_csv(tmp_path / "labels=640_padded.csv", padded)
    rows = _rows(_read(f"flive:{tmp_path}?split=official"))
    assert [rows[name].split for name in names] == ["train", "validation", "test"]
    with open(tmp_path / "labels_image.csv", "a") as file:
        file.write("\nEE371R/rq60.jpg,1")
    write_photos(tmp_path / "database", ["EE371R/rq60.jpg"])
    part = _read(f"flive:{tmp_path}?split=official")
    assert part.skipped == (
        ("EE371R/rq60.jpg", "it is in none of the lists of the official split"),
    )
