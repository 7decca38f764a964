"""Readers of crowd data sets, on trees of the released layouts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from rankloop.datasets.layouts.heads import head_points, polygon_mask
from rankloop.datasets.layouts.tree import read_mat
from rankloop.datasets.part import ImageRow, Part
from rankloop.datasets.readers import read_sources
from rankloop.errors import ConfigError, DataError
from rankloop.images import decode

WritePhotos = Callable[..., list[str]]
POINTS = np.array([[1.0, 1.0], [10.5, 20.25]])
# MATLAB counts from 1.
COUNTED_FROM_0 = [(0.0, 0.0), (9.5, 19.25)]


def _read(spec: str) -> Part:
    return read_sources([spec], seed=0)


def _rows(part: Part) -> Mapping[str, ImageRow]:
    return {row.image: row for row in part.images}


def _shanghaitech(points: np.ndarray) -> dict[str, np.ndarray]:
    info = np.empty((1, 1), object)
    info[0, 0] = np.array(
        [[(points, np.array([[len(points)]]))]], dtype=[("location", "O"), ("number", "O")]
    )
    return {"image_info": info}


@pytest.mark.parametrize("ground_truth", ["ground-truth", "ground_truth"])
def test_shanghaitech(tmp_path: Path, write_photos: WritePhotos, ground_truth: str):
    for side, number in (("train_data", 3), ("test_data", 3), ("train_data", 4)):
        write_photos(tmp_path / side / "images", [f"IMG_{number}.jpg"])
    for side in ("train_data", "test_data"):
        (tmp_path / side / ground_truth).mkdir()
        scipy.io.savemat(tmp_path / side / ground_truth / "GT_IMG_3.mat", _shanghaitech(POINTS))
    part = _read(f"shanghaitech:{tmp_path}")
    rows = _rows(part)
    train, test = rows["train_data/images/IMG_3.jpg"], rows["test_data/images/IMG_3.jpg"]
    assert train.points == COUNTED_FROM_0
    assert (train.score, train.split, test.split) == (2.0, None, "test")
    assert (part.score_name, part.higher_is_better) == ("count", True)
    ((name, reason),) = part.skipped
    assert name == "train_data/images/IMG_4.jpg"
    assert "GT_IMG_4.mat, do not exist" in reason


def test_nobody_in_an_image(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path / "train_data" / "images", ["IMG_1.jpg"])
    (tmp_path / "train_data" / "ground_truth").mkdir()
    empty = _shanghaitech(np.empty((0, 2)))
    scipy.io.savemat(tmp_path / "train_data" / "ground_truth" / "GT_IMG_1.mat", empty)
    (row,) = _read(f"shanghaitech:{tmp_path}").images
    assert (row.points, row.score) == ([], 0.0)


def test_ucf_cc_50(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, ["1.jpg", "10.jpg", "11.jpg", "50.jpg", "7.jpg"])
    for number in (1, 10, 11, 50):
        scipy.io.savemat(tmp_path / f"{number}_ann.mat", {"annPoints": POINTS})
    scipy.io.savemat(tmp_path / "22_ann.mat", {"annPoints": POINTS})
    with pytest.raises(
        DataError, match=r"fold=3 tests on 21\.jpg to 30\.jpg, and none of these is"
    ):
        _read(f"ucf_cc_50:{tmp_path}?fold=3")
    (tmp_path / "22_ann.mat").unlink()
    part = _read(f"ucf_cc_50:{tmp_path}?fold=2")
    rows = _rows(part)
    assert {name: row.split for name, row in rows.items()} == {
        "1.jpg": None,
        "10.jpg": None,
        "11.jpg": "test",
        "50.jpg": None,
    }
    assert rows["1.jpg"].points == COUNTED_FROM_0
    assert [name for name, _ in part.skipped] == ["7.jpg"]
    tested = [
        name
        for fold in (1, 2, 5)
        for name, row in _rows(_read(f"ucf_cc_50:{tmp_path}?fold={fold}")).items()
        if row.split == "test"
    ]
    assert sorted(tested) == sorted(rows)
    with pytest.raises(ConfigError, match="none of 1 to 5"):
        _read(f"ucf_cc_50:{tmp_path}?fold=6")


def test_polygons():
    mask = polygon_mask(np.array([[3, 2], [7, 2], [7, 5], [3, 5], [3, 2]], float), 8, 10)
    expected = np.zeros((8, 10), bool)
    expected[1:5, 2:7] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.fixture
def worldexpo10(tmp_path: Path, write_photos: WritePhotos) -> Path:
    # Some frame names go on with a hyphen after the scene.
    train, test = "200684_C09_clip1_3", "104207-1-04_034550"
    write_photos(tmp_path / "train_frame", [f"{train}.jpg", "200684_no_label.jpg"])
    write_photos(tmp_path / "test_frame" / "104207", [f"{test}.jpg"])
    corners = np.array([[1, 1], [100, 1], [100, 50], [1, 50]], float)
    for side, scene, frame in (("train", "200684", train), ("test", "104207", test)):
        folder = tmp_path / f"{side}_label" / scene
        folder.mkdir(parents=True)
        scipy.io.savemat(
            folder / "roi.mat",
            {
                "maskVerticesXCoordinates": corners[:, :1],
                "maskVerticesYCoordinates": corners[:, 1:],
            },
        )
        marked = np.array([[50.0, 20.0], [100.0, 50.0], [101.0, 20.0], [-3.0, 5.0]])
        if side == "test":
            scipy.io.savemat(folder / f"{frame}.mat", {"point_position": marked})
            continue
        # Some files are of version 7.3, with rows and columns exchanged.
        with h5py.File(folder / f"{frame}.mat", "w", userblock_size=512) as file:
            file["point_position"] = marked.T
    return tmp_path


def test_worldexpo10(worldexpo10: Path):
    part = _read(f"worldexpo10:{worldexpo10}")
    rows = _rows(part)
    assert {(row.source, row.split, row.score) for row in rows.values()} == {
        ("200684", None, 2.0),
        ("104207", "test", 2.0),
    }
    for row in rows.values():
        assert row.points == [(49.0, 19.0), (99.0, 49.0)]
        assert row.region is not None
        region = decode(row.region)
        assert region.shape == (576, 720, 3)
        assert region[:50, :100].min() == 255
        assert region[50:].max() == region[:, 100:].max() == 0
    assert part.counts == {"points_outside_region": 4}
    assert [name for name, _ in part.skipped] == ["train_frame/200684_no_label.jpg"]


def test_worldexpo10_one_test_scene(worldexpo10: Path, write_photos: WritePhotos):
    write_photos(worldexpo10 / "test_frame" / "200608", ["200608_1.jpg"])
    rows = _rows(_read(f"worldexpo10:{worldexpo10}?scene=104207"))
    found = {row.source: (row.split, row.score) for row in rows.values()}
    # The other scenes are there for nested crops alone, although nobody need have marked them.
    assert found == {"200684": (None, 2.0), "104207": ("test", 2.0), "200608": ("train", None)}
    assert rows["test_frame/200608/200608_1.jpg"].points is None
    with pytest.raises(ConfigError, match="the test scenes are 104207, 200608"):
        _read(f"worldexpo10:{worldexpo10}?scene=500717")
    # There by its labels alone.
    (worldexpo10 / "test_frame" / "104207" / "104207-1-04_034550.jpg").unlink()
    with pytest.raises(DataError, match=r"scene=104207 tests on test_frame/104207, and none of"):
        _read(f"worldexpo10:{worldexpo10}?scene=104207")


def test_ucsd(tmp_path: Path, write_photos: WritePhotos):
    for clip in ("vidf1_33_002", "vidf1_33_003"):
        names = [f"{clip}_f001.png", f"{clip}_f002.png"]
        write_photos(tmp_path / "ucsdpeds" / "vidf" / f"{clip}.y", names)
    labels = tmp_path / "vidf-cvpr"
    labels.mkdir()
    mask = np.zeros((158, 238), np.uint8)
    mask[:40, :60] = 1
    scipy.io.savemat(labels / "vidf1_33_roi_mainwalkway.mat", {"roi": {"mask": mask, "xi": [1]}})
    for clip in ("vidf1_33_002", "vidf1_33_003"):
        frames = np.empty((1, 2), object)
        frames[0, 0] = {"loc": np.array([[10.0, 10, 1], [61.2, 40, 1], [60.4, 40.4, 0]])}
        frames[0, 1] = {"loc": np.array([[200.0, 10, 1]])}
        scipy.io.savemat(labels / f"{clip}_frame_full.mat", {"frame": frames})
    with pytest.raises(DataError, match=r"fold=1 tests on clips vidf1_33_007 to vidf1_33_009, and"):
        _read(f"ucsd:{tmp_path}?fold=1")
    rows = _rows(_read(f"ucsd:{tmp_path}?fold=2"))
    first = rows["ucsdpeds/vidf/vidf1_33_002.y/vidf1_33_002_f001.png"]
    assert (first.split, first.score) == ("test", 2.0)
    assert rows["ucsdpeds/vidf/vidf1_33_003.y/vidf1_33_003_f001.png"].score == 2.0
    with pytest.raises(ConfigError, match="none of 1 and 2"):
        _read(f"ucsd:{tmp_path}?fold=3")
    part = _read(f"ucsd:{tmp_path}")
    rows = _rows(part)
    found = {Path(name).name: (row.score, row.split, row.source) for name, row in rows.items()}
    assert found == {
        "vidf1_33_002_f001.png": (2.0, "test", "vidf1_33_002"),
        "vidf1_33_002_f002.png": (0.0, "test", "vidf1_33_002"),
        # Frames 601 to 1400 train: the clips 003 to 006.
        "vidf1_33_003_f001.png": (2.0, None, "vidf1_33_003"),
        "vidf1_33_003_f002.png": (0.0, None, "vidf1_33_003"),
    }
    assert part.counts == {"points_outside_region": 4}
    assert not part.skipped
    gone = "vidf1_33_003.y/vidf1_33_003_f002.png"
    (tmp_path / "ucsdpeds" / "vidf" / gone).unlink()
    assert _gone(_read(f"ucsd:{tmp_path}")) == {f"ucsdpeds/vidf/{gone}"}


def test_ucf_qnrf(tmp_path: Path, write_photos: WritePhotos):
    for side in ("Train", "Test"):
        write_photos(tmp_path / side, ["img_0001.jpg"])
        scipy.io.savemat(tmp_path / side / "img_0001_ann.mat", {"annPoints": POINTS})
    rows = _rows(_read(f"ucf_qnrf:{tmp_path}"))
    assert {name: row.split for name, row in rows.items()} == {
        "Test/img_0001.jpg": "test",
        "Train/img_0001.jpg": None,
    }
    assert {row.longest_side for row in rows.values()} == {1024}


def test_a_folder_that_is_no_release(tmp_path: Path):
    for reader in ("shanghaitech", "ucf_cc_50", "worldexpo10", "ucsd", "ucf_qnrf"):
        with pytest.raises(DataError, match="holds no"):
            _read(f"{reader}:{tmp_path}")


def test_bad_files_of_points_are_skipped_and_named(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, [f"{i}.jpg" for i in range(1, 8)])
    for number, value in (
        (1, {"annPoints": POINTS}),
        (2, {"annPoints": POINTS}),
        (3, {"points": POINTS}),
        (4, {"annPoints": np.ones((4, 3))}),
        (5, {"annPoints": np.array([[1.0, np.nan]])}),
        (6, {"annPoints": np.array(["heads"])}),
        (7, {"annPoints": np.empty((0, 0))}),
    ):
        scipy.io.savemat(tmp_path / f"{number}_ann.mat", value)
    whole = (tmp_path / "2_ann.mat").read_bytes()
    (tmp_path / "2_ann.mat").write_bytes(whole[: len(whole) // 2])
    part = _read(f"ucf_cc_50:{tmp_path}")
    assert {row.image: row.score for row in part.images} == {"1.jpg": 2.0, "7.jpg": 0.0}
    reasons = dict(part.skipped)
    assert sorted(reasons) == [f"{i}.jpg" for i in range(2, 7)]
    assert "is not a MATLAB file that can be read" in reasons["2.jpg"]
    assert "no variable 'annPoints', only points" in reasons["3.jpg"]
    for name in ("4.jpg", "5.jpg", "6.jpg"):
        assert "not finite (x, y) pairs" in reasons[name]


def test_an_empty_matrix_of_version_7_3_is_nobody(tmp_path: Path):
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        stored = file.create_dataset("annPoints", data=np.array([0, 0], np.uint64))
        stored.attrs["MATLAB_empty"] = np.uint8(1)
    content = read_mat(str(tmp_path / "x.mat"))
    assert head_points(content["annPoints"]) == []


def _gone(part: Part) -> set[str]:
    assert all("does not exist" in reason for _, reason in part.skipped)
    return {name for name, _ in part.skipped}


def test_photographs_that_only_points_are_there_for_are_listed(
    tmp_path: Path, write_photos: WritePhotos, worldexpo10: Path
):
    shanghai = tmp_path / "shanghai"
    write_photos(shanghai / "train_data" / "images", ["IMG_1.jpg"])
    (shanghai / "train_data" / "ground-truth").mkdir()
    for number in (1, 2):
        path = shanghai / "train_data" / "ground-truth" / f"GT_IMG_{number}.mat"
        scipy.io.savemat(path, _shanghaitech(POINTS))
    assert _gone(_read(f"shanghaitech:{shanghai}")) == {"train_data/images/IMG_2.jpg"}
    dense = tmp_path / "dense"
    write_photos(dense, ["3.jpg"])
    for number in (3, 4):
        scipy.io.savemat(dense / f"{number}_ann.mat", {"annPoints": POINTS})
    assert _gone(_read(f"ucf_cc_50:{dense}")) == {"4.jpg"}
    qnrf = tmp_path / "qnrf"
    write_photos(qnrf / "Train", ["img_0001.jpg"])
    for number in (1, 2):
        scipy.io.savemat(qnrf / "Train" / f"img_000{number}_ann.mat", {"annPoints": POINTS})
    assert _gone(_read(f"ucf_qnrf:{qnrf}")) == {"Train/img_0002.jpg"}
    before = {row.image for row in _read(f"worldexpo10:{worldexpo10}").images}
    name = sorted(name for name in before if name.startswith("train_frame"))[0]
    (worldexpo10 / name).unlink()
    found = dict(_read(f"worldexpo10:{worldexpo10}").skipped)
    assert "does not exist" in found[name]
    with pytest.raises(DataError, match="strict"):
        read_sources([f"ucf_cc_50:{dense}"], seed=0, strict=True)
