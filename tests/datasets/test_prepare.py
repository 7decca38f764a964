from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rankloop.datasets.dataset import Dataset
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.prepare import load_image, prepare
from rankloop.distortions.blur import blur
from rankloop.errors import DataError, ImageError
from rankloop.images import decode, load, read_bytes, shrink

WritePhotos = Callable[..., list[str]]
BIG = 1 << 30


@pytest.fixture
def folder(tmp_path: Path, write_photos: WritePhotos) -> Path:
    write_photos(tmp_path, [f"{i:02d}.png" for i in range(50)])
    return tmp_path


def spoil(folder: Path) -> list[str]:
    (folder / "07.png").write_bytes((folder / "07.png").read_bytes()[:200])
    (folder / "21.png").write_bytes(b"")
    (folder / "49.png").write_text("not an image")
    return ["07.png", "21.png", "49.png"]


def opened(folder: Path) -> Dataset:
    return open_dataset([f"folder:{folder}"], seed=0, labels=400)


def test_load_image_crops_resizes_and_blurs_as_hidden(folder: Path) -> None:
    row: dict[str, Any] = {"uri": str(folder / "00.png"), "crop": [2, 1, 20, 20]}
    row |= {"hidden_blur": None, "longest_side": None}
    plain = load_image(row, 16)
    np.testing.assert_array_equal(plain, load(row["uri"], (2, 1, 20, 20), 16))
    blurred = load_image(row | {"hidden_blur": 1.5}, 16)
    np.testing.assert_array_equal(blurred, blur(plain, "gaussian", 1.5))
    assert (blurred != plain).any()
    whole = load_image(row | {"crop": None}, 16)
    np.testing.assert_array_equal(whole, load(row["uri"], None, 16))
    assert (whole != plain).any()
    # A crop is of the shrunk photograph.
    shrunk = load_image(row | {"crop": [0, 0, 12, 12], "longest_side": 14}, 12)
    photograph = decode(read_bytes(row["uri"]))
    np.testing.assert_array_equal(shrunk, shrink(photograph, 14)[:12, :12])
    assert max(shrink(photograph, 14).shape) == 14


def test_pixels_are_those_of_load_image(folder: Path) -> None:
    progress: list[tuple[int, int]] = []
    data, pixels = prepare(
        opened(folder), 16, max_bytes=BIG, threads=2, on_progress=lambda *at: progress.append(at)
    )
    assert pixels is not None
    assert (pixels.shape, pixels.dtype) == ((50, 16, 16, 3), np.uint8)
    for row, image in zip(data.images.to_pylist(), pixels, strict=True):
        np.testing.assert_array_equal(image, load_image(row, 16))
    assert [done for done, _ in progress] == list(range(1, 51))
    assert {total for _, total in progress} == {50}


def test_many_crops_of_one_photograph_equal_load_image() -> None:
    data = open_dataset(["samples"], seed=0, crops_per_photo=3)
    prepared, pixels = prepare(data, 24, max_bytes=BIG, threads=2)
    assert prepared == data
    assert pixels is not None
    for row, image in zip(data.images.to_pylist(), pixels, strict=True):
        np.testing.assert_array_equal(image, load_image(row, 24))


@pytest.mark.parametrize("threads", [1, 3])
def test_three_corrupt_of_fifty_are_skipped_counted_and_listed(folder: Path, threads: int) -> None:
    corrupt = spoil(folder)
    data = opened(folder)
    cleaned, pixels = prepare(data, 16, max_bytes=BIG, threads=threads)
    assert [image for image, _ in cleaned.skipped] == corrupt
    assert all(reason for _, reason in cleaned.skipped)
    names = cleaned.images["image"].to_pylist()
    assert names == [name for name in data.images["image"].to_pylist() if name not in corrupt]
    assert pixels is not None
    assert len(pixels) == 47
    for row, image in zip(cleaned.images.to_pylist(), pixels, strict=True):
        np.testing.assert_array_equal(image, load_image(row, 16))
    expected = [
        pair
        for pair in data.pairs.to_pylist()
        if pair["better"] not in corrupt and pair["worse"] not in corrupt
    ]
    assert cleaned.pairs.to_pylist() == expected
    dropped = len(data.pairs) - len(expected)
    assert cleaned.counts["pairs_with_unreadable_image"] == dropped > 0


def test_too_large_an_array_is_not_kept_but_images_are_checked(folder: Path) -> None:
    spoil(folder)
    cleaned, pixels = prepare(opened(folder), 16, max_bytes=50 * 16 * 16 * 3 - 1, threads=2)
    assert pixels is None
    assert len(cleaned.images) == 47


def test_a_crop_that_leaves_the_photograph_is_skipped_alone(folder: Path) -> None:
    data = opened(folder)
    crops = [[0, 0, 999, 5] if i == 3 else None for i in range(50)]
    column = pa.array(crops, pa.list_(pa.int32(), 4))
    moved = data.images.set_column(2, data.images.schema.field("crop"), column)
    cleaned, _ = prepare(
        Dataset(data.name, moved, data.pairs, False, "x", "none"), 16, max_bytes=BIG, threads=2
    )
    assert [image for image, _ in cleaned.skipped] == ["03.png"]


def test_vanished_images_are_listed(folder: Path) -> None:
    data = opened(folder)
    (folder / "11.png").unlink()
    cleaned, _ = prepare(data, 16, max_bytes=BIG, threads=2)
    assert [image for image, _ in cleaned.skipped] == ["11.png"]
    with pytest.raises(ImageError):
        load_image(data.images.to_pylist()[11], 16)


def test_nothing_readable(folder: Path) -> None:
    data = opened(folder)
    for path in folder.iterdir():
        path.write_text("not an image")
    with pytest.raises(DataError, match=r"none of 50 images can be read; the first, 00.png: "):
        prepare(data, 16, max_bytes=BIG, threads=2)


def test_no_label_left(tmp_path: Path, write_photos: WritePhotos) -> None:
    write_photos(tmp_path, [f"{i:02d}.png" for i in range(20)])
    data = opened(tmp_path)
    for row in data.images.to_pylist():
        if row["split"] == "train":
            Path(row["uri"]).write_text("not an image")
    with pytest.raises(DataError, match="no labelled pair lies within the training split"):
        prepare(data, 16, max_bytes=BIG, threads=2)
