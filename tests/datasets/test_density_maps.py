import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.datasets.density_maps import density_map


def _gaussian(distance: float, sigma: float) -> float:
    return math.exp(-(distance**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)


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
    # Cut at four standard deviations.
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
