import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import laplace
from scipy.signal import convolve
from scipy.stats import norm

from rankloop import images
from rankloop.distortions.blur import BLUR_KINDS, BlurKind, blur, blur_kernel
from rankloop.errors import ConfigError

STRENGTHS = (1.0, 1.3, 2.0, 3.7, 8.0, 15.0)
# What laying the shape on pixels adds to the variance: nothing where it is sampled at pixel
# centres, the variance of a box where areas are taken, that of a tent where points are shared.
SAMPLING_VARIANCE = {"gaussian": 0.0, "defocus": 1 / 12, "motion": 1 / 6}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return images.load("package:skimage/data/astronaut.png", (150, 0, 200, 200), 96)


def _variance_along(kernel: np.ndarray, angle: float) -> float:
    half = len(kernel) // 2
    total = 0.0
    for row in range(len(kernel)):
        for column in range(len(kernel)):
            along = (column - half) * math.cos(angle) + (row - half) * math.sin(angle)
            total += float(kernel[row, column]) * along**2
    return total


def _reflected(image: np.ndarray, margin: int) -> np.ndarray:
    """Pad by mirroring without the border pixel, index by index."""

    def source(index: int, length: int) -> int:
        if length == 1:
            return 0
        index %= 2 * (length - 1)
        return index if index < length else 2 * (length - 1) - index

    rows = [source(i, image.shape[0]) for i in range(-margin, image.shape[0] + margin)]
    columns = [source(i, image.shape[1]) for i in range(-margin, image.shape[1] + margin)]
    return image[rows][:, columns]


def _slow_blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = _reflected(image.astype(np.float64), len(kernel) // 2)
    return np.stack(
        [convolve(padded[:, :, c], kernel.astype(np.float64), mode="valid") for c in range(3)],
        axis=-1,
    )


# Kernels


@given(
    st.sampled_from(BLUR_KINDS),
    st.floats(0.0, 12.0, allow_subnormal=False),
    st.floats(-7.0, 7.0, allow_subnormal=False),
)
@settings(max_examples=150, deadline=None)
def test_kernels_are_odd_squares_that_sum_to_one(kind: BlurKind, strength: float, angle: float):
    kernel = blur_kernel(kind, strength, angle)
    assert kernel.dtype == np.float32
    assert kernel.shape[0] == kernel.shape[1]
    assert len(kernel) % 2 == 1
    assert kernel.min() >= 0.0
    assert float(kernel.sum(dtype=np.float64)) == pytest.approx(1.0, abs=1e-5)
    # The blur moves nothing: the kernel is symmetric about its middle.
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("kind", BLUR_KINDS)
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 4, 1.9])
def test_strength_is_the_standard_deviation(kind: BlurKind, strength: float, angle: float):
    variance = _variance_along(blur_kernel(kind, strength, angle), angle)
    measured = math.sqrt(variance - SAMPLING_VARIANCE[kind])
    assert measured == pytest.approx(strength, rel=0.03)


@pytest.mark.parametrize("strength", [0.5, *STRENGTHS])
def test_gaussian_is_the_formula_cut_at_4_sigma(strength: float):
    kernel = blur_kernel("gaussian", strength)
    half = len(kernel) // 2
    assert half >= 4 * strength > half - 1
    profile = [math.exp(-(i**2) / (2 * strength**2)) for i in range(-half, half + 1)]
    expected = np.outer(profile, profile) / sum(profile) ** 2
    np.testing.assert_allclose(kernel, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_defocus_is_a_uniform_disc(strength: float):
    radius = 2 * strength
    kernel = blur_kernel("defocus", strength)
    half = len(kernel) // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(x, y)
    # Uniform inside, nothing outside, in between where the edge passes; the area is the disc's.
    inside = kernel[distance < radius - 0.75]
    np.testing.assert_allclose(inside, 1 / (math.pi * radius**2), rtol=0.005)
    assert (kernel[distance > radius + 0.75] == 0).all()
    assert float((kernel / kernel[half, half]).sum()) == pytest.approx(
        math.pi * radius**2, rel=0.005
    )


@pytest.mark.parametrize("angle", np.linspace(0, math.pi, 13)[:-1])
@pytest.mark.parametrize("strength", [1.0, 3.0, 8.0])
def test_motion_is_a_straight_line_at_its_angle(strength: float, angle: float):
    kernel = blur_kernel("motion", strength, angle).astype(np.float64)
    half = len(kernel) // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    covariance = np.array(
        [
            [(kernel * x * x).sum(), (kernel * x * y).sum()],
            [(kernel * x * y).sum(), (kernel * y * y).sum()],
        ]
    )
    _, axes = np.linalg.eigh(covariance)
    found = math.atan2(axes[1, 1], axes[0, 1])
    difference = (found - angle + math.pi / 2) % math.pi - math.pi / 2
    assert abs(difference) < math.radians(2)
    # Thin across, and as long as it should be.
    assert _variance_along(kernel, angle + math.pi / 2) < 0.26
    along = np.abs(x * math.cos(angle) + y * math.sin(angle))
    assert along[kernel > 0].max() == pytest.approx(math.sqrt(3) * strength, abs=1.5)


def test_motion_angle_turns_from_right_to_down():
    kernel = blur_kernel("motion", 3.0, math.radians(20))
    half = len(kernel) // 2
    assert kernel[half + 1, half + 3] > 0.01  # below and to the right
    assert kernel[half - 1, half + 3] == 0.0
    np.testing.assert_allclose(
        blur_kernel("motion", 3.0, math.pi / 2), blur_kernel("motion", 3.0, 0.0).T, atol=1e-6
    )


# Images


@pytest.mark.parametrize("kind", BLUR_KINDS)
@pytest.mark.parametrize("strength", [0.5, 1.0, 2.5, 4.0, 7.5, 12.0])
def test_blur_is_convolution_within_one_grey_level(
    photo: np.ndarray, kind: BlurKind, strength: float
):
    before = photo.copy()
    blurred = blur(photo, kind, strength, 0.6)
    assert blurred.dtype == np.uint8
    expected = _slow_blur(photo, blur_kernel(kind, strength, 0.6))
    # Rounding to nearest is half a level; OpenCV's arithmetic is in float32.
    assert np.abs(blurred - expected).max() < 0.51
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(blur(photo, kind, strength, 0.6), blurred)


@pytest.mark.parametrize("kind", BLUR_KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (5, 3)])
@pytest.mark.parametrize("strength", [0.3, 2.0, 4.0, 10.0])
def test_images_smaller_than_the_kernel(kind: BlurKind, shape: tuple[int, int], strength: float):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    expected = _slow_blur(image, blur_kernel(kind, strength, 0.6))
    assert np.abs(blur(image, kind, strength, 0.6) - expected).max() < 0.51


@pytest.mark.parametrize("kind", BLUR_KINDS)
@pytest.mark.parametrize("strength", [0.7, 4.0, 12.0])
def test_flat_images_stay_as_they_are(kind: BlurKind, strength: float):
    for level in (0, 1, 128, 254, 255):
        image = np.full((40, 30, 3), level, np.uint8)
        assert (blur(image, kind, strength, 1.0) == level).all()


@pytest.mark.parametrize("kind", BLUR_KINDS)
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_a_stronger_blur_leaves_less_detail(photo: np.ndarray, kind: BlurKind, angle: float):
    details = [
        laplace(blur(photo, kind, strength, angle).astype(np.float64).mean(axis=2)).var()
        for strength in (0.0, 0.5, 0.8, 1.2, 1.8, 2.7, 4.0)
    ]
    assert all(weaker > stronger for weaker, stronger in itertools.pairwise(details))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0, 7.0])
def test_sigma_can_be_measured_on_a_blurred_edge(sigma: float):
    image = np.zeros((5, 81, 3), np.uint8)
    image[:, 41:] = 255
    edge = blur(image, "gaussian", sigma)[2, :, 0] / 255
    # A blurred step is the normal distribution function, so its
    # quantiles rise by 1 / sigma a pixel.
    (steep,) = np.nonzero((edge > 0.03) & (edge < 0.97))
    slope = np.polyfit(steep, norm.ppf(edge[steep]), 1)[0]
    assert 1 / slope == pytest.approx(sigma, rel=0.05)


def test_no_strength_is_a_copy(photo: np.ndarray):
    for kind in BLUR_KINDS:
        same = blur(photo, kind, 0.0)
        np.testing.assert_array_equal(same, photo)
        assert not np.shares_memory(same, photo)
        np.testing.assert_array_equal(blur(photo, kind, 1e-200), photo)


def test_any_memory_layout(photo: np.ndarray):
    for kind in BLUR_KINDS:
        expected = blur(np.ascontiguousarray(photo[::-1, ::2]), kind, 4.0)
        np.testing.assert_array_equal(blur(photo[::-1, ::2], kind, 4.0), expected)


@pytest.mark.parametrize(
    ("kind", "strength", "angle", "reason"),
    [
        ("box", 1.0, 0.0, "unknown blur kind 'box'.*gaussian, defocus, motion"),
        ("gaussian", -0.5, 0.0, "strength -0.5 must be"),
        ("defocus", math.inf, 0.0, "strength inf must be"),
        ("motion", math.nan, 0.0, "strength nan must be"),
        ("motion", 1.0, math.nan, "angle nan must be"),
    ],
)
def test_values_out_of_range_are_refused(
    kind: BlurKind, strength: float, angle: float, reason: str
):
    with pytest.raises(ConfigError, match=reason):
        blur_kernel(kind, strength, angle)
    with pytest.raises(ConfigError, match=reason):
        blur(np.zeros((4, 4, 3), np.uint8), kind, strength, angle)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="must be uint8"):
        blur(np.zeros((4, 4, 3)), "gaussian", 1.0)
