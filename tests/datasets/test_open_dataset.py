from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from rankloop.datasets.dataset import Dataset, pair_indices
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.splits import check_no_leak
from rankloop.errors import ConfigError, DataError
from rankloop.images import encode
from rankloop.tracking import data_tags

WriteCsv = Callable[[Path, str], str]
WritePhotos = Callable[..., list[str]]


def rows(dataset: Dataset) -> dict[str, dict[str, Any]]:
    return {row["image"]: row for row in dataset.images.to_pylist()}


def test_samples_with_the_synthetic_annotator() -> None:
    data = open_dataset(["samples"], seed=0, crops_per_photo=6, labels=200)
    assert (data.name, data.annotator) == ("samples", "synthetic, error rate 0.05")
    assert (data.score_name, data.higher_is_better) == ("hidden blur strength (synthetic)", False)
    images = rows(data)
    assert len(images) == 6 * 17
    assert all(row["hidden_blur"] == row["score"] for row in images.values())
    pairs = data.pairs.to_pylist()
    assert Counter(pair["split"] for pair in pairs) == {
        "train": 200,
        "validation": 100,
        "test": 100,
    }
    wrong = Counter(
        pair["split"]
        for pair in pairs
        if images[pair["better"]]["score"] > images[pair["worse"]]["score"]
    )
    # Only training labels carry errors.
    assert wrong == {"train": data.counts["labels_flipped"]}
    assert 1 <= wrong["train"] <= 25
    check_no_leak(data)


def test_same_seed_same_dataset_other_seed_other_dataset() -> None:
    first, again, other = (
        open_dataset(["samples"], seed=seed, crops_per_photo=3) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.images["split"] != other.images["split"]
    assert first.images["crop"] != other.images["crop"]
    assert first.images["hidden_blur"] != other.images["hidden_blur"]


def test_without_label_errors_every_pair_is_right() -> None:
    data = open_dataset(["samples"], seed=0, crops_per_photo=3, label_error_rate=0.0)
    scores = data.images["score"].to_numpy()
    better, worse = pair_indices(data, "train")
    assert (scores[better] < scores[worse]).all()
    assert data.annotator == "synthetic, error rate 0"


def test_folder_with_a_source_pattern(tmp_path: Path, write_photos: WritePhotos) -> None:
    write_photos(tmp_path, [f"p{i}_{k:04d}.png" for i in range(12) for k in range(3)])
    data = open_dataset([f"folder:{tmp_path}"], seed=0, source_pattern=r"(.+)_\d{4}\.png")
    images = rows(data)
    assert {row["source"] for row in images.values()} == {f"p{i}" for i in range(12)}
    for i in range(12):
        assert len({images[f"p{i}_{k:04d}.png"]["split"] for k in range(3)}) == 1
    assert data.annotator.startswith("synthetic")
    with pytest.raises(ConfigError, match="is found in none of 36 image names"):
        open_dataset([f"folder:{tmp_path}"], seed=0, source_pattern=r"(.+)_\d{5}\.png")


def test_scored_images_give_pairs_in_their_direction(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    names = write_photos(tmp_path, [f"{i}.png" for i in range(40)])
    lines = [f"{name},{i // 2}" for i, name in enumerate(names)]
    path = write_csv(tmp_path / "x.csv", "image,dmos\n" + "\n".join(lines))
    spec = f"csv:{path}?score=dmos&higher_is_better=false"
    data = open_dataset([spec], seed=0, labels=30)
    images = rows(data)
    assert (data.annotator, data.score_name, data.higher_is_better) == ("human", "dmos", False)
    assert set(data.images["hidden_blur"].to_pylist()) == {None}
    pairs = data.pairs.to_pylist()
    assert Counter(pair["split"] for pair in pairs)["train"] == 30
    assert all(images[p["better"]]["score"] < images[p["worse"]]["score"] for p in pairs)
    check_no_leak(data)


def test_labelled_pairs_with_an_unlabelled_folder(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path / "labelled", [f"{i}.png" for i in range(30)])
    write_photos(tmp_path / "pool", [f"pool{i}.png" for i in range(50)])
    lines = [f"{i}.png,{(i + k) % 30}.png,a" for i in range(30) for k in (1, 4, 9)]
    path = write_csv(tmp_path / "labelled/x.csv", "image_a,image_b,better\n" + "\n".join(lines))
    specs = [f"pairs:{path}", f"folder:{tmp_path}"]
    data = open_dataset(specs, seed=0)
    images = rows(data)
    # The folder lists the labelled images once more; they keep their first name.
    assert len(images) == 80
    assert images["3.png"]["uri"] == str(tmp_path / "labelled/3.png")
    assert {images[f"pool/pool{i}.png"]["split"] for i in range(50)} == {"train"}
    assert Counter(images[f"{i}.png"]["split"] for i in range(30)) == {
        "train": 22,
        "validation": 4,
        "test": 4,
    }
    in_split = Counter(data.pairs["split"].to_pylist())
    assert sum(in_split.values()) + data.counts["pairs_across_splits"] == 90
    assert min(in_split[s] for s in ("validation", "test")) >= 2
    assert (data.annotator, data.score_name, data.higher_is_better) == ("human", None, None)
    assert data.name == " + ".join(specs)
    check_no_leak(data)


def test_test_ranking_of_the_ssranking_release_stands(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path / "images", [f"s{i}.jpg" for i in range(20)])
    write_photos(tmp_path / "images", [f"t{i}.jpg" for i in range(5)] + ["u0.jpg", "u1.jpg"])
    lines = [f"s{i}.jpg,s{(i + k) % 20}.jpg" for i in range(20) for k in (1, 2, 3)]
    write_csv(tmp_path / "sup.txt", "\n".join([*lines, "s0.jpg,t0.jpg"]))
    write_csv(tmp_path / "unsup.txt", "u0.jpg,u1.jpg")
    write_csv(tmp_path / "test1.txt", "\n".join(f"t{i}.jpg {i}" for i in range(5)))
    # u1 and t1 are crops of one photograph.
    write_csv(tmp_path / "crops.txt", "W>>p.jpg>>0 0 9 9>>u1.jpg\nW>>p.jpg>>3 3 9 9>>t1.jpg")
    data = open_dataset([f"ssranking:{tmp_path}"], seed=0)
    images = rows(data)
    assert {images[f"t{i}.jpg"]["split"] for i in range(5)} == {"test"}
    assert Counter(images[f"s{i}.jpg"]["split"] for i in range(20)) == {
        "train": 16,
        "validation": 4,
    }
    assert images["u0.jpg"]["split"] == "train"
    assert images["u1.jpg"]["split"] == "test"
    tests = data.pairs.filter(data.pairs["split"].to_numpy() == "test").to_pylist()
    assert len(tests) == 10
    assert all(images[p["better"]]["score"] < images[p["worse"]]["score"] for p in tests)
    assert data.counts["pairs_across_splits"] >= 1


def test_a_source_with_two_given_splits_is_refused(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path, ["a.png", "b.png"])
    text = "image,score,source,split\na.png,1,s,train\nb.png,2,s,test\n"
    path = write_csv(tmp_path / "x.csv", text)
    with pytest.raises(DataError, match="source 's' is in test and train"):
        open_dataset([f"csv:{path}?higher_is_better=true"], seed=0)


def test_a_split_column_without_validation_is_refused(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    write_photos(tmp_path, ["a.png", "b.png", "c.png"])
    text = "image,score,split\na.png,1,train\nb.png,2,train\nc.png,3,test\n"
    path = write_csv(tmp_path / "x.csv", text)
    with pytest.raises(DataError, match="too few images to judge a model by"):
        open_dataset([f"csv:{path}?higher_is_better=true"], seed=0)


@pytest.mark.parametrize(
    ("specs", "options", "message"),
    [
        ([], {}, "no data source"),
        ("samples", {}, "name one, such as samples"),
        (
            ["sampels"],
            {},
            "nearest is 'samples'; known are bid, clive, csiq, csv, discs, flive, folder",
        ),
        (["samples:x"], {}, "have no path, write 'samples'"),
        (["folder:"], {}, "names no path: write folder:PATH"),
        (["csv:?score=x"], {}, "names no path: write csv:PATH"),
        (["samples"], {"crops_per_photo": -1}, "crops_per_photo = -1 is below 0"),
        (["samples"], {"labels": 0}, "labels = 0 is below 1"),
        (["samples"], {"label_error_rate": 0.5}, r"label_error_rate = 0.5 is outside \[0, 0.5\)"),
        (["samples"], {"label_error_rate": -0.1}, r"is outside \[0, 0.5\)"),
        (["samples"], {"label_error_rate": float("nan")}, r"is outside \[0, 0.5\)"),
    ],
)
def test_bad_arguments(specs: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_dataset(specs, seed=0, **options)


def test_too_few_photographs_to_split(tmp_path: Path, write_photos: WritePhotos) -> None:
    write_photos(tmp_path, ["a.png", "b.png"])
    with pytest.raises(DataError, match="2 sources cannot be divided into train, validation, test"):
        open_dataset([f"folder:{tmp_path}"], seed=0)


def test_named_shares_by_source_and_another_seed_is_another_split(
    tmp_path: Path, write_csv: WriteCsv, write_photos: WritePhotos
) -> None:
    names = write_photos(tmp_path, [f"r{i:02d}_{k}.png" for i in range(50) for k in range(2)])
    lines = [f"{name},{i},{name[:3]}" for i, name in enumerate(names)]
    path = write_csv(tmp_path / "x.csv", "image,score,source\n" + "\n".join(lines))
    spec = f"csv:{path}?higher_is_better=true"
    tests = set()
    for seed in range(10):
        data = open_dataset([spec], seed=seed, split="80-20")
        check_no_leak(data)
        counted = Counter(data.images["split"].to_pylist())
        assert counted == {"train": 72, "validation": 8, "test": 20}
        tests.add(tuple(sorted(i for i, row in rows(data).items() if row["split"] == "test")))
    assert len(tests) == 10
    counted = Counter(open_dataset([spec], seed=0).images["split"].to_pylist())
    assert counted == {"train": 68, "validation": 16, "test": 16}


def test_a_password_in_an_option_is_no_part_of_the_name(tmp_path: Path) -> None:
    files = {f"k:secret@open/{i}.png": encode(np.zeros((8, 8, 3), np.uint8)) for i in range(60)}
    fsspec.filesystem("memory").pipe(files)
    lines = "\n".join(f"{i}.png,{i}" for i in range(60))
    (tmp_path / "m.csv").write_text(f"image,score\n{lines}\n")
    options = "higher_is_better=true&images=memory%3A%2F%2Fk%3Asecret%40open"
    data = open_dataset([f"csv:{tmp_path}/m.csv?{options}"], seed=0)
    shown = f"csv:{tmp_path}/m.csv?higher_is_better=true&images=memory://open"
    assert data.name == data_tags(data)["data"] == shown
