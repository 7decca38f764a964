import io
import itertools

import numpy as np
import pytest
import skimage.data
from PIL import Image

from rankloop.distortions import DISTORTIONS
from rankloop.distortions.compression import (
    JPEG_2000_RATIOS,
    decode_jpeg_2000,
    encode_jpeg,
    encode_jpeg_2000,
)
from rankloop.errors import ImageError
from rankloop.randomness import rng


def test_jpeg_quality_is_that_of_the_level(large_photo: np.ndarray):
    """Images are what Pillow, with the same tables and sampling, makes of each quality."""
    made = DISTORTIONS["jpeg"].ladder(large_photo, rng(0))
    for version, quality in zip(made[1:], (43, 12, 7, 4, 0), strict=True):
        buffer = io.BytesIO()
        # Pillow takes 0 for its default, and libjpeg takes 0 for 1.
        Image.fromarray(large_photo).save(buffer, "JPEG", quality=max(1, quality))
        expected = np.asarray(Image.open(buffer))
        # Two builds of libjpeg enlarge chrominance in slightly different ways.
        assert np.abs(version.astype(int) - expected).mean() < 0.5


@pytest.mark.parametrize("side", [None, 320])
@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea", "rocket"])
def test_jpeg_2000_layers_have_the_ratios(name: str, side: int | None):
    """The stream up to a layer is as long as a stream that ends there."""
    # 320 is what a square of 224 has with its surroundings; chelsea is 300 pixels high.
    photo = getattr(skimage.data, name)()
    image = np.ascontiguousarray(photo[:side, :side])
    ratios = sorted(JPEG_2000_RATIOS, reverse=True)
    for count, ratio in enumerate(ratios, 1):
        data = encode_jpeg_2000(image, ratios[:count])
        assert image.size / len(data) == pytest.approx(ratio, rel=0.05)


@pytest.mark.parametrize("side", [216, 240])
def test_jpeg_2000_levels_differ_as_soon_as_their_streams_can(side: int, large_photo: np.ndarray):
    image = np.ascontiguousarray(large_photo[:side, :side])
    made = DISTORTIONS["jpeg2000"].ladder(image, rng(0)).astype(np.float64)
    errors = [((version - made[0]) ** 2).mean() for version in made]
    assert all(one < other for one, other in itertools.pairwise(errors))


def test_surroundings_make_the_ratios_reachable():
    assert 224 + 2 * DISTORTIONS["jpeg2000"].halo() == 320


def test_a_side_too_long_for_jpeg_is_refused():
    with pytest.raises(ImageError, match="65501 x 1 pixels: a JPEG has at most 65500 a side"):
        DISTORTIONS["jpeg"].ladder(np.zeros((1, 65501, 3), np.uint8), rng(0))


def test_a_layer_of_one_encode_is_the_encode_that_ends_there(large_photo: np.ndarray):
    ratios = sorted(JPEG_2000_RATIOS, reverse=True)
    whole = encode_jpeg_2000(large_photo, ratios)
    for count in range(1, 6):
        alone = encode_jpeg_2000(large_photo, ratios[:count])
        np.testing.assert_array_equal(
            decode_jpeg_2000(whole, count), np.asarray(Image.open(io.BytesIO(alone)))
        )


def test_one_encode_costs_little_quality(large_photo: np.ndarray):
    made = DISTORTIONS["jpeg2000"].ladder(large_photo, rng(0)).astype(np.float64)
    for version, ratio in zip(made[1:], JPEG_2000_RATIOS, strict=True):
        alone = decode_jpeg_2000(encode_jpeg_2000(large_photo, [ratio])).astype(np.float64)
        error, own = (((image - made[0]) ** 2).mean() for image in (version, alone))
        assert 10 * abs(np.log10(error / own)) < 0.5  # dB


def test_restart_markers(large_photo: np.ndarray):
    data = encode_jpeg(large_photo, 90, restart_rows=1)
    markers = sum(data.count(bytes([0xFF, 0xD0 + i])) for i in range(8))
    assert markers == -(-large_photo.shape[0] // 16) - 1
