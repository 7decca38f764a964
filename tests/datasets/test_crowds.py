"""Heads, region and photograph stay in step, whatever is done to the photograph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from rankloop.datasets.crowds import load_crowd, points_in_photograph
from rankloop.datasets.density_maps import density_map
from rankloop.datasets.layouts.heads import encode_region
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.prepare import prepare
from rankloop.errors import ImageError
from rankloop.images import encode

HEIGHT, WIDTH = 240, 400
# (x, y), each the middle of a block of 9 x 9 pixels in a colour of its own.
HEADS = [(30.0, 40.0), (200.0, 100.0), (370.0, 220.0)]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def _row(folder: Path, **values: Any) -> Mapping[str, Any]:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for number, (x, y) in enumerate(HEADS):
        image[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5, number] = 255
    (folder / "crowd.png").write_bytes(encode(image))
    row = {"uri": str(folder / "crowd.png"), "crop": None, "longest_side": None}
    return {**row, "points": HEADS, "region": None, **values}


def _blocks(image: np.ndarray) -> np.ndarray:
    """Centre of mass of each colour, (3, 2)."""
    weights = image.astype(np.float64)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array(
        [
            [
                (weights[:, :, c] * places).sum() / weights[:, :, c].sum()
                for places in (columns, rows)
            ]
            for c in range(3)
        ]
    )


@pytest.mark.parametrize("longest_side", [None, 400, 200, 150, 37])
def test_heads_move_with_the_pixels(tmp_path: Path, longest_side: int | None):
    crowd = load_crowd(_row(tmp_path, longest_side=longest_side))
    assert max(crowd.image.shape) == (longest_side or WIDTH)
    np.testing.assert_allclose(crowd.points, _blocks(crowd.image), atol=0.1)
    assert crowd.outside == 0
    assert crowd.region is None


def test_a_crop_keeps_its_heads_and_counts_the_others(tmp_path: Path):
    # In pixels of the shrunk photograph, 200 x 120.
    crowd = load_crowd(_row(tmp_path, longest_side=200, crop=(10, 12, 110, 80)))
    assert crowd.image.shape == (80, 110, 3)
    assert crowd.outside == 1
    expected = (np.array(HEADS[:2]) + 0.5) / 2 - 0.5 - [10, 12]
    np.testing.assert_allclose(crowd.points, expected)
    density, outside = density_map(crowd.points, 80, 110)
    assert outside == 0
    assert density.sum(dtype=np.float64) == pytest.approx(2, abs=1e-3)


def test_the_region_is_that_of_the_photograph(tmp_path: Path):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, 100:] = True
    row = _row(tmp_path, region=encode_region(mask), longest_side=200, crop=(10, 0, 100, 120))
    region = load_crowd(row).region
    assert region is not None
    assert region.shape == (120, 100)
    assert not region[:, :40].any()
    assert region[:, 40:].all()


def test_a_region_of_another_size_is_refused(tmp_path: Path):
    mask = encode_region(np.ones((10, 20), bool))
    with pytest.raises(ImageError, match="20 x 10 pixels and it has 400 x 240: they must be alike"):
        load_crowd(_row(tmp_path, region=mask))


def test_points_beyond_the_borders_are_counted_when_images_are_read(tmp_path: Path):
    rng = np.random.default_rng(0)
    for number in range(1, 12):
        image = rng.integers(0, 256, (30, 40, 3), np.uint8)
        (tmp_path / f"{number}.jpg").write_bytes(encode(image, "jpeg"))
        # MATLAB counts from 1: the first pixels of a row, and one just beyond the last column.
        points = [[float(x), 1.0] for x in range(1, number + 1)] + [[41.0, 30.0]]
        scipy.io.savemat(tmp_path / f"{number}_ann.mat", {"annPoints": points})
    dataset = open_dataset([f"ucf_cc_50:{tmp_path}"], seed=0)
    cleaned, _ = prepare(dataset, 16, max_bytes=10**6, threads=2)
    assert cleaned.counts["points_outside_image"] == 11


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data sets")
def test_density_maps_of_real_crowds_have_their_counts():
    dataset = open_dataset([f"shanghaitech:{SHARED / 'crowd' / 'shanghaitech' / 'part_A'}"], seed=0)
    for row in dataset.images.slice(0, 8).to_pylist():
        crowd = load_crowd({**row, "longest_side": 512})
        height, width, _ = crowd.image.shape
        density, outside = density_map(crowd.points, height, width)
        assert outside == 0
        count = row["score"] - crowd.outside
        assert density.sum(dtype=np.float64) == pytest.approx(count, abs=1e-3 * max(1, count))


@pytest.mark.parametrize("longest_side", [None, 200, 37])
def test_points_of_an_image_go_back_to_where_they_are_in_the_photograph(
    tmp_path: Path, longest_side: int | None
):
    crop = None if longest_side == 37 else (8, 10, 90, 60)
    row = _row(tmp_path, longest_side=longest_side, crop=crop)
    crowd = load_crowd(row)
    shown = crowd.points
    assert len(shown) in (1, 2, 3)
    size = crowd.image.shape[1], crowd.image.shape[0]
    points = [(float(x), float(y)) for x, y in shown]
    found = points_in_photograph(row, points, size, (WIDTH, HEIGHT))
    kept = [head for head in HEADS if any(np.allclose(head, other, atol=1e-3) for other in found)]
    assert len(kept) == len(found) == len(shown)
