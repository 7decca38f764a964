import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.errors import ConfigError, ImageError
from rankloop.randomness import rng
from rankloop.ranking.nested_crops import nested_boxes, nested_crops

SIDES = st.integers(1, 900)
COUNTS = st.integers(1, 8)
SCALES = st.floats(0.05, 0.95)
REGIONS = st.floats(1.0, 20.0)


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, COUNTS, SCALES, REGIONS, st.integers(0, 999))
def test_every_crop_lies_inside_the_one_before(
    height: int, width: int, crops: int, scale: float, region: float, seed: int
):
    boxes = nested_boxes(height, width, rng(seed), crops, scale, region).tolist()
    assert len(boxes) == crops
    around_x, around_y, around_width, around_height = 0, 0, width, height
    for x, y, side in boxes:
        assert side >= 1
        assert around_x <= x <= x + side <= around_x + around_width
        assert around_y <= y <= y + side <= around_y + around_height
        around_x, around_y, around_width, around_height = x, y, side, side


@settings(max_examples=200, deadline=None)
@given(st.integers(100, 900), st.integers(100, 900), st.integers(0, 999))
def test_algorithm_2(height: int, width: int, seed: int):
    boxes = nested_boxes(height, width, rng(seed), 5, 0.75, 8)
    centers = boxes[:, :2] + boxes[:, 2:] / 2
    # Anchor region: the middle eighth of both sides (centres are rounded by half a pixel).
    for center_x, center_y in centers:
        assert abs(center_x - width / 2) <= width / 16 + 1.5
        assert abs(center_y - height / 2) <= height / 16 + 1.5
    assert np.abs(centers - centers[0]).max() <= 1.5
    first = boxes[0, 2]
    np.testing.assert_allclose(boxes[:, 2], first * 0.75 ** np.arange(5), atol=0.51)
    # The largest square with this centre: it comes within a pixel or two of a border.
    x, y, side = boxes[0]
    assert min(x, y, width - x - side, height - y - side) <= 2


def test_anchors_fill_their_region():
    corners = np.array(
        [nested_boxes(400, 800, rng(seed), 1, 0.5, 4)[0] for seed in range(400)], float
    )
    centers = corners[:, :2] + corners[:, 2:] / 2
    assert centers[:, 0].min() < 310
    assert centers[:, 0].max() > 490
    assert centers[:, 1].min() < 155
    assert centers[:, 1].max() > 245


def test_crops_are_resized_and_ranked():
    image = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    made = nested_crops(image, rng(3), 64)
    assert made.images.shape == (5, 64, 64, 3)
    assert made.levels.tolist() == [[0], [1], [2], [3], [4]]
    x, y, side = nested_boxes(90, 130, rng(3))[0]
    middle = image[y : y + side, x : x + side].mean()
    assert made.images[0].mean() == pytest.approx(middle, abs=1.5)


def test_counts_of_nested_crops_fall():
    generator = np.random.default_rng(0)
    density = (generator.random((300, 400)) < 0.01).astype(np.float32)
    for seed in range(20):
        counts = [
            density[y : y + side, x : x + side].sum()
            for x, y, side in nested_boxes(300, 400, rng(seed)).tolist()
        ]
        assert (np.diff(counts) <= 1e-3).all()


def test_refusals():
    for crops, scale, region in ((0, 0.75, 8), (5, 0, 8), (5, 1, 8), (5, 0.75, 0.9)):
        with pytest.raises(ConfigError, match="give at least 1 crop"):
            nested_boxes(10, 10, rng(0), crops, scale, region)


@pytest.mark.parametrize(("side", "flat"), [(1, False), (3, False), (60, True)])
def test_crops_that_are_the_same_image_are_refused(side: int, flat: bool):
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    if flat:
        image[:] = 7
    with pytest.raises(ImageError, match="are the same image"):
        nested_crops(image, rng(0), 8)
