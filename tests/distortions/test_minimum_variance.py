import itertools

import numpy as np
import pytest

from rankloop.distortions import minimum_variance
from rankloop.distortions.minimum_variance import minimum_variance_palettes


def _palette_by_loops(image: np.ndarray, count: int) -> list[list[float]]:
    """Each pixel a list of its own, every plane between cells of four tried."""
    boxes = [image.reshape(-1, 3).astype(float).tolist()]
    while len(boxes) < count:
        box = max(boxes, key=_error)
        if _error(box) == 0:
            break
        boxes.remove(box)
        cuts = []
        for channel, plane in itertools.product(range(3), range(4, 256, 4)):
            low = [pixel for pixel in box if pixel[channel] < plane]
            high = [pixel for pixel in box if pixel[channel] >= plane]
            if low and high:
                cuts.append((low, high))
        boxes += min(cuts, key=lambda cut: _error(cut[0]) + _error(cut[1]))
    return sorted(np.rint(np.mean(box, axis=0)).tolist() for box in boxes)


def _error(box: list[list[float]]) -> float:
    return float(((np.array(box) - np.mean(box, axis=0)) ** 2).sum())


@pytest.mark.parametrize("seed", range(5))
def test_palettes_are_those_of_loops_over_pixels(seed: int):
    generator = np.random.default_rng(seed)
    # Multiples of four: every colour is a cell, in which nothing is left to cut.
    image = (4 * generator.integers(0, 64, (5, 9, 3))).astype(np.uint8)
    counts = (8, 1, 4)
    for count, palette in zip(counts, minimum_variance_palettes(image, counts), strict=True):
        assert sorted(palette.tolist()) == _palette_by_loops(image, count)


def test_palettes_leave_less_error_than_median_cut(large_photo: np.ndarray):
    from PIL import Image

    def error(colors: np.ndarray) -> float:
        distances = ((large_photo[::4, ::4, None].astype(int) - colors) ** 2).sum(axis=3)
        return float(distances.min(axis=2).mean())

    errors = []
    palettes = minimum_variance_palettes(large_photo, (8, 64))
    for count, palette in zip((8, 64), palettes, strict=True):
        median_cut = Image.fromarray(large_photo).quantize(count, Image.Quantize.MEDIANCUT)
        theirs = np.array(median_cut.getpalette()).reshape(-1, 3)[:count]
        errors.append(error(palette))
        assert errors[-1] < error(theirs)
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize(
    ("grey", "colors"), [([7], 1), ([0, 255], 2), ([60, 61, 62, 63], 4), (range(256), 64)]
)
def test_grey_images_have_as_many_colors_as_there_are(grey: list[int], colors: int):
    image = np.array(grey, np.uint8)[:, None, None].repeat(3, axis=2)
    (palette,) = minimum_variance_palettes(image, (64,))
    assert len(palette) == colors
    assert (palette == palette[:, :1]).all()


def test_dark_photographs_have_all_their_colors(large_photo: np.ndarray):
    palettes = minimum_variance_palettes(large_photo // 32, (64, 32, 16, 8))
    assert [len(palette) for palette in palettes] == [64, 32, 16, 8]


def test_photographs_in_bands_are_those_in_one(
    large_photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    (whole,) = minimum_variance_palettes(large_photo, (16,))
    monkeypatch.setattr(minimum_variance, "_BAND", 1000)
    (banded,) = minimum_variance_palettes(large_photo, (16,))
    np.testing.assert_array_equal(banded, whole)
