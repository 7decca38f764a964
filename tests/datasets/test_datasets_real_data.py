from collections import Counter
from pathlib import Path

import pytest

from rankloop.datasets.opening import open_dataset
from rankloop.datasets.prepare import prepare
from rankloop.datasets.splits import check_no_leak

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real photographs in {SHARED}"),
]


def test_faces_of_lfw_keep_a_person_in_one_split() -> None:
    folder = SHARED / "faces" / "lfw"
    data = open_dataset([f"folder:{folder}"], seed=0, source_pattern=r"(.+)_\d{4}\.jpg")
    assert len(data.images) == 1200
    persons = {name.rpartition("_")[0] for name in data.images["image"].to_pylist()}
    assert set(data.images["source"].to_pylist()) == persons
    assert len(persons) < 1200
    check_no_leak(data)


def test_clive_scores_missing_images_and_pixels() -> None:
    folder = SHARED / "clive"
    spec = f"csv:{folder}/clive_mos.csv?score=mos&higher_is_better=true&images={folder}/Images"
    data = open_dataset([spec], seed=0, labels=500)
    listed = len((folder / "clive_mos.csv").read_text().splitlines()) - 1
    assert len(data.images) + len(data.skipped) == listed
    assert len(data.images) == 627
    assert (data.score_name, data.higher_is_better, data.annotator) == ("mos", True, "human")
    scores = {row["image"]: row["score"] for row in data.images.to_pylist()}
    pairs = data.pairs.to_pylist()
    assert Counter(pair["split"] for pair in pairs) == {
        "train": 500,
        "validation": 100,
        "test": 100,
    }
    assert all(scores[p["better"]] > scores[p["worse"]] for p in pairs)


def test_votes_on_real_blur_with_an_unlabelled_folder(tmp_path: Path) -> None:
    photos = SHARED / "blur" / "label_blur"
    sharp = sorted(photos.glob("focus_*"))
    blurred = sorted(photos.glob("blur_*"))
    lines = [f"{s.name},{b.name},a" for s in sharp for b in blurred[:10]]
    labels = tmp_path / "labels.csv"
    labels.write_text("image_a,image_b,better\n" + "\n".join(lines))
    specs = [f"pairs:{labels}?images={photos}", f"folder:{SHARED / 'photos' / 'kodak'}"]
    data = open_dataset(specs, seed=0)
    assert len(data.images) == len(sharp) + 10 + 8
    in_split = Counter(data.pairs["split"].to_pylist())
    assert in_split["train"] > 100
    assert in_split["validation"] >= 1
    cleaned, pixels = prepare(data, 32, max_bytes=1 << 30, threads=2)
    assert pixels is not None
    assert cleaned.skipped == ()
