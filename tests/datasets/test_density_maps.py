import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.datasets.density_maps import cell_density, density_map, region_shares
from rankloop.errors import ConfigError


def _gaussian(distance: float, sigma: float) -> float:
    """What of it lies in a pixel."""
    scale = math.sqrt(2) * sigma
    return (math.erf((distance + 0.5) / scale) - math.erf((distance - 0.5) / scale)) / 2


def _slow(points: list[tuple[int, int]], height: int, width: int, sigma: float) -> np.ndarray:
    """Every point and its mirror images about the outer edges of the border pixels."""

    def along(point: int, place: int, length: int) -> float:
        mirrored = [point + 2 * length * k for k in range(-3, 4)]
        mirrored += [-1 - point + 2 * length * k for k in range(-3, 4)]
        return sum(_gaussian(place - image, sigma) for image in mirrored)

    return np.array(
        [
            [
                sum(along(x, column, width) * along(y, row, height) for x, y in points)
                for column in range(width)
            ]
            for row in range(height)
        ]
    )


def test_every_point_is_a_gaussian_mirrored_at_the_borders():
    points = [(3, 4), (0, 0), (29, 19), (15, 10), (15, 10)]
    density, outside = density_map(np.array(points), 20, 30, sigma=4.0)
    assert outside == 0
    assert density.dtype == np.float32
    np.testing.assert_allclose(density, _slow(points, 20, 30, 4.0), atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 200), st.integers(0, 999))
def test_the_sum_is_the_count(height: int, width: int, count: int, seed: int):
    points = np.random.default_rng(seed).random((count, 2)) * [width - 1, height - 1]
    density, outside = density_map(points, height, width)
    assert outside == 0
    assert density.min() >= 0
    assert density.sum(dtype=np.float64) == pytest.approx(count, abs=1e-3 * max(count, 1))


def test_points_outside_are_counted_and_left_out():
    points = np.array([[-0.4, 0.0], [-0.6, 0.0], [9.4, 4.4], [9.6, 4.0], [5, 5.2], [np.nan, 1]])
    density, outside = density_map(points, 5, 10)
    assert outside == 4
    assert density.sum() == pytest.approx(2, abs=1e-3)


def test_nobody():
    density, outside = density_map(np.empty((0, 2)), 4, 6)
    assert density.shape == (4, 6)
    assert not density.any()
    assert outside == 0


@given(
    st.lists(st.tuples(st.floats(0, 89), st.floats(0, 59)), max_size=8),
    st.floats(0.5, 20.0),
    st.integers(1, 7),
)
@settings(max_examples=30, deadline=None)
def test_cells_of_a_whole_image_hold_every_person(points, sigma, cells):
    density = cell_density(np.array(points), (0, 0, 90, 60), (cells, cells + 1), 60, 90, sigma)
    assert density.shape == (cells, cells + 1)
    assert density.min() >= 0
    np.testing.assert_allclose(density.sum(), len(points), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 999), st.floats(0.5, 20.0))
@settings(max_examples=30, deadline=None)
def test_every_head_in_a_region_of_interest_is_one_person_in_it(seed, sigma):
    dice = np.random.default_rng(seed)
    region = np.zeros((60, 90), bool)
    # Heads lie at its edges, too, and some outside.
    region[10:30, 5:50] = region[25:55, 40:60] = True
    points = dice.uniform(-0.49, 1, (30, 2)) * [89, 59]
    points = points[(points >= -0.49).all(axis=1)]
    x, y = np.rint(points).astype(int).T
    inside = region[y, x]
    found = cell_density(points, (0, 0, 96, 64), (4, 6), 60, 90, sigma, region)
    assert found.sum() == pytest.approx(inside.sum(), rel=1e-5, abs=1e-5)
    shares = region_shares(region, (0, 0, 96, 64), (4, 6))
    assert not found[shares == 0].any()
    # A head at a time, pixel by pixel.
    slow = np.zeros((60, 90))
    for point in points[inside]:
        alone, _ = density_map(point[None], 60, 90, sigma)
        slow += alone * region / (alone * region).sum()
    padded = np.pad(slow, ((0, 4), (0, 6))).reshape(4, 16, 6, 16).sum(axis=(1, 3))
    np.testing.assert_allclose(found, padded, atol=1e-4)
    part = cell_density(points, (20, 10, 35, 35), (7, 5), 60, 90, sigma, region)
    expected = slow[10:45, 20:55].reshape(7, 5, 5, 7).sum(axis=(1, 3))
    np.testing.assert_allclose(part, expected, atol=1e-4)


def test_shares_of_cells_in_a_region():
    dice = np.random.default_rng(0)
    region = dice.random((40, 50)) < 0.5
    found = region_shares(region, (10, 8, 30, 24), (3, 5))
    np.testing.assert_allclose(
        found, region[8:32, 10:40].reshape(3, 8, 5, 6).mean(axis=(1, 3)), atol=1e-6
    )
    # The last cells hold 8 x 2 pixels of the image.
    found = region_shares(region, (0, 0, 64, 48), (3, 4))
    assert found[2, 3] == pytest.approx(region[32:, 48:].mean())
    # Cells of parts of pixels.
    thirds = region_shares(np.array([[True, False]]), (0, 0, 2, 1), (1, 3))
    np.testing.assert_allclose(thirds, [[1.0, 0.5, 0.0]])


def test_cells_are_sums_over_the_pixels_of_the_map():
    dice = np.random.default_rng(0)
    points = np.rint(dice.uniform(0, 1, (40, 2)) * [299, 199])
    density, _ = density_map(points, 200, 300, 9.0)
    # Borders, the middle, and cells of parts of pixels.
    for x, y, width, height, rows, columns in (
        (0, 0, 300, 200, 5, 10),
        (200, 120, 100, 80, 4, 5),
        (33, 21, 64, 48, 3, 4),
    ):
        found = cell_density(points, (x, y, width, height), (rows, columns), 200, 300, 9.0)
        part = density[y : y + height, x : x + width]
        expected = part.reshape(rows, height // rows, columns, width // columns).sum(axis=(1, 3))
        np.testing.assert_allclose(found, expected, atol=2e-3)
    thirds = cell_density(points, (10, 10, 100, 100), (3, 3), 200, 300, 9.0)
    np.testing.assert_allclose(thirds.sum(), density[10:110, 10:110].sum(), atol=2e-3)


def test_cells_need_a_finite_sigma():
    with pytest.raises(ConfigError, match="sigma nan must be"):
        cell_density(np.zeros((0, 2)), (0, 0, 4, 4), (1, 1), 4, 4, float("nan"))
