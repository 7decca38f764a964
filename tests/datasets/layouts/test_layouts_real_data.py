"""Readers on the real files that lie beside the project."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from rankloop.datasets.density_maps import density_map
from rankloop.datasets.loaders import file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.readers import read_sources

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
SCORES = SHARED / "scores"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real photographs in {SHARED}"),
]


def _official(name: str) -> list[dict[str, str]]:
    """An independent list of scores."""
    with open(SCORES / "icbcbicc" / f"{name}.txt") as file:
        return list(csv.DictReader(file))


def _empty_images(folder: Path, names: list[str]) -> None:
    # Readers look whether a file is there, and not into it.
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_tid2013_has_the_official_scores(tmp_path: Path):
    listed = SCORES / "FPR" / "tid2013" / "mos_with_names.txt"
    (tmp_path / "mos_with_names.txt").write_text(listed.read_text())
    official = _official("TID2013")
    _empty_images(
        tmp_path / "distorted_images", [row["dis_img_path"].split("/")[-1] for row in official]
    )
    part = read_sources([f"tid2013:{tmp_path}"], seed=0, strict=True)
    scores = {row.image: row.score for row in part.images}
    assert len(scores) == 3000
    for row in official:
        name = row["dis_img_path"].split("/")[-1].lower()
        assert scores[name] == pytest.approx(float(row["score"]), abs=1e-3)
    split = Counter(
        row.split for row in read_sources([f"tid2013:{tmp_path}?split=official"], seed=0).images
    )
    # 19 and 5 references of 120 images.
    assert split == {None: 2280, "test": 600}


def test_kadid10k_has_the_official_scores(tmp_path: Path):
    official = _official("KADID-10k")
    lines = ["dist_img,ref_img,dmos,var"]
    names = (SCORES / "FPR" / "kadid10k" / "names_with_mos.txt").read_text().splitlines()
    for line in names:
        name, score = line.split()
        lines.append(f"{name},{name[:3]}.png,{score},0.5")
    (tmp_path / "dmos.csv").write_text("\n".join(lines))
    _empty_images(tmp_path / "images", [line.split()[0] for line in names])
    part = read_sources([f"kadid10k:{tmp_path}"], seed=0, strict=True)
    scores = {row.image: row.score for row in part.images}
    assert len(scores) == len(official) == 10125
    kinds: dict[str, set[str | None]] = {}
    distortions = {row.image: row.distortion for row in part.images}
    for row in official:
        name = row["dis_img_path"].split("/")[-1]
        assert scores[name] == pytest.approx(float(row["score"]), abs=5e-3)
        kinds.setdefault(row["dis_type"], set()).add(distortions[name])
    assert all(len(found) == 1 for found in kinds.values())


def test_csiq_has_the_official_scores(tmp_path: Path):
    import openpyxl

    book = openpyxl.Workbook()
    page = book.active
    page.title = "all_by_image"
    page.append(["image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"])
    for line in (SCORES / "FPR" / "CSIQ" / "ref_dist_mos.txt").read_text().splitlines():
        image, number, kind, level, spread, score = line.split("\t")
        kind = kind.replace("jpeg2000", "jpeg 2000")
        page.append([image, int(number), kind, int(level), float(spread), float(score)])
    book.save(tmp_path / "csiq.DMOS.xlsx")
    official = _official("CSIQ")
    folders = {"AWGN": "awgn", "JPEG": "jpeg", "BLUR": "blur"}
    names = {}
    for row in official:
        file = row["dis_img_path"].split("/")[-1]
        word = file.split(".")[1]
        names[f"{folders.get(word, word)}/{file}"] = float(row["score"])
    _empty_images(tmp_path / "dst_imgs", list(names))
    part = read_sources([f"csiq:{tmp_path}"], seed=0, strict=True)
    found = {row.image.lower(): row.score for row in part.images}
    assert len(found) == 866
    for name, score in names.items():
        assert found[name.lower()] == pytest.approx(score, abs=1e-3)


def test_live_has_the_official_scores_and_real_images(tmp_path: Path):
    lines = (SCORES / "FPR" / "databaserelease2" / "MOS_NAME_REF.txt").read_text().splitlines()
    scores, _names, references = zip(*(line.split() for line in lines), strict=True)
    dmos = np.array([float(score) for score in scores])[None]
    cells = np.empty((1, 982), object)
    cells[0, :] = references
    scipy.io.savemat(tmp_path / "refnames_all.mat", {"refnames_all": cells})
    scipy.io.savemat(tmp_path / "dmos.mat", {"dmos": dmos, "orgs": (dmos == 0).astype(int)})
    text = (SHARED / "live_subset" / "live_subset_dmos.csv").read_text()
    real = list(csv.DictReader(text.splitlines()))
    for row in real:
        target = tmp_path / row["live_name"]
        target.parent.mkdir(exist_ok=True)
        Image.open(SHARED / "live_subset" / row["path"]).save(target)
    dataset = open_dataset([f"live:{tmp_path}"], seed=0)
    kept = {row["live_name"]: row for row in real if row["is_reference_copy"] == "0"}
    rows = {row["image"]: row for row in dataset.images.to_pylist()}
    assert set(rows) == set(kept)
    for name, row in rows.items():
        assert row["score"] == pytest.approx(float(kept[name]["dmos"]), abs=1e-4)
        assert row["source"] == kept[name]["live_reference"]
        assert row["distortion"] in ("jpeg", "fast_fading")
    assert dataset.higher_is_better is False
    assert len(dataset.skipped) == 779 - len(rows)
    official = {row["dis_img_path"].removeprefix("LIVE/"): row for row in _official("LIVE")}
    assert set(rows) <= set(official)
    assert file_loader(dataset, None)(0).ndim == 3


def test_clive_as_released(tmp_path: Path):
    part = read_sources([f"clive:{SHARED / 'clive'}"], seed=0)
    assert len(part.images) == 627
    assert len(part.skipped) == 535
    with open(SHARED / "clive" / "clive_mos.csv") as file:
        listed = {row["image"]: row for row in csv.DictReader(file)}
    for row in part.images:
        assert row.score == pytest.approx(float(listed[row.image]["mos"]), abs=1e-5)
        assert row.spread == pytest.approx(float(listed[row.image]["std"]), abs=1e-5)
    official = {
        row["dis_img_path"].split("/")[-1].lower(): float(row["score"])
        for row in _official("LIVE_Challenge")
    }
    for row in part.images:
        assert row.score == pytest.approx(official[row.image.lower()], abs=1e-3)


def test_koniq10k_and_spaq_have_the_official_scores(tmp_path: Path):
    import openpyxl

    official = _official("KonIQ-10k")
    other = dict(
        line.split("\t")[:2]
        for line in (SCORES / "MANIQA" / "koniq10k_label.txt").read_text().splitlines()
    )
    lines = ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore"]
    lines += [f"{name},0,0,0,0,0,0,{score},0.5,0" for name, score in other.items()]
    (tmp_path / "koniq10k_scores_and_distributions.csv").write_text("\n".join(lines))
    _empty_images(tmp_path / "1024x768", list(other))
    part = read_sources([f"koniq10k:{tmp_path}"], seed=0, strict=True)
    scores = {row.image: row.score for row in part.images}
    assert len(scores) == len(official) == 10073
    for row in official:
        name = row["dis_img_path"].split("/")[-1]
        assert scores[name] == pytest.approx(float(row["score"]), abs=1e-6)

    official = _official("SPAQ")
    book = openpyxl.Workbook()
    book.active.append(["Image name", "MOS"])
    for row in official:
        book.active.append([row["dis_img_path"].split("/")[-1], float(row["score"])])
    (tmp_path / "spaq" / "Annotations").mkdir(parents=True)
    book.save(tmp_path / "spaq" / "Annotations" / "MOS and Image attribute scores.xlsx")
    names = [row["dis_img_path"].split("/")[-1] for row in official]
    _empty_images(tmp_path / "spaq" / "TestImage", names)
    assert len(read_sources([f"spaq:{tmp_path / 'spaq'}"], seed=0, strict=True).images) == 11125


@pytest.mark.parametrize(("letter", "train", "test"), [("A", 130, 40), ("B", 24, 12)])
def test_shanghaitech_as_released(letter: str, train: int, test: int):
    folder = SHARED / "crowd" / "shanghaitech" / f"part_{letter}"
    part = read_sources([f"shanghaitech:{folder}"], seed=0, strict=True)
    assert Counter(row.split for row in part.images) == {None: train, "test": test}
    outside = 0
    for row in part.images[::20]:
        assert row.points is not None
        with Image.open(row.uri) as image:
            width, height = image.size
        density, missed = density_map(np.array(row.points), height, width)
        outside += missed
        assert density.sum(dtype=np.float64) == pytest.approx(row.score - missed, rel=1e-3)
    # Some heads are marked a pixel beyond the border.
    assert outside <= 3


def test_ucf_cc_50_as_released():
    part = read_sources([f"ucf_cc_50:{SHARED / 'crowd' / 'ucf_cc_50'}?fold=1"], seed=0)
    # All eight are among the first ten.
    assert [row.split for row in part.images] == ["test"] * 8
    counts = [row.score for row in part.images]
    assert counts == [4633, 1940, 2364, 96, 469, 2550, 648, 1046]
