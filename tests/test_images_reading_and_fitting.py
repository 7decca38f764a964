from pathlib import Path

import cv2
import fsspec
import numpy as np
import pytest

from rankloop import images
from rankloop.errors import ImageError


def _pixels(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


# Crop, square, resize


def test_crop_takes_columns_then_rows():
    image = _pixels(20, 30)
    cropped = images.crop(image, 4, 7, 10, 5)
    for row in range(5):
        for column in range(10):
            assert (cropped[row, column] == image[7 + row, 4 + column]).all()


@pytest.mark.parametrize(
    "box", [(-1, 0, 5, 5), (0, -1, 5, 5), (26, 0, 5, 5), (0, 16, 5, 5), (0, 0, 0, 5), (0, 0, 5, -1)]
)
def test_a_box_outside_is_refused(box: tuple[int, int, int, int]):
    with pytest.raises(ImageError, match="not inside the image of 30 x 20 pixels"):
        images.crop(_pixels(20, 30), *box)


def test_center_square():
    image = _pixels(20, 31)
    np.testing.assert_array_equal(images.center_square(image), image[:, 5:25])
    np.testing.assert_array_equal(
        images.center_square(image.transpose(1, 0, 2)), image.transpose(1, 0, 2)[5:25]
    )


def test_shrinking_by_a_whole_factor_averages():
    image = _pixels(24, 24)
    expected = image.reshape(8, 3, 8, 3, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(images.resize(image, 8) - expected).max() <= 0.5 + 1e-4


def test_enlarging_is_bicubic():
    image = _pixels(8, 8)
    expected = cv2.resize(image, (20, 20), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(images.resize(image, 20), expected)
    assert (images.resize(np.full((1, 1, 3), 7, np.uint8), 9) == 7).all()


def test_resize_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="cannot resize 30 x 20 pixels to a side of 8"):
        images.resize(_pixels(20, 30), 8)
    with pytest.raises(ValueError, match="to a side of 0"):
        images.resize(_pixels(20, 20), 0)


def test_results_share_no_memory_with_inputs_and_leave_them_alone():
    image = _pixels(20, 20)
    before = image.copy()
    for made in (
        images.crop(image, 0, 0, 20, 20),
        images.center_square(image),
        images.resize(image, 20),
        images.resize(image, 10),
        images.fit(image, None, 20),
        images.fit(image, (0, 0, 20, 20), 20),
    ):
        assert not np.shares_memory(made, image)
    np.testing.assert_array_equal(image, before)


# Reading


def test_reads_local_files_uris_and_packages(tmp_path: Path):
    path = tmp_path / "a photo #1.png"
    path.write_bytes(b"bytes")
    assert images.read_bytes(str(path)) == b"bytes"
    with fsspec.open("memory://rankloop-test/a.png", "wb") as file:
        file.write(b"remote")
    assert images.read_bytes("memory://rankloop-test/a.png") == b"remote"
    coffee = images.decode(images.read_bytes("package:skimage/data/coffee.png"))
    assert coffee.shape == (400, 600, 3)
    assert images.read_bytes("package:sklearn/datasets/images/china.jpg")[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("missing.png", "missing.png does not exist"),
        ("memory://rankloop-test/missing.png", "does not exist"),
        ("package:skimage/data/missing.png", "does not exist"),
        ("nonsense://bucket/a.png", "cannot read nonsense://bucket/a.png"),
        ("a\0b.png", "cannot read"),
        ("package:os/path.py", "only"),
        ("package:skimage/../numpy/__init__.py", "without '..'"),
        ("package:skimage/data/..\\..\\x", "without '..'"),
        ("package:skimage//etc/passwd", "without '..'"),
        ("package:skimage", "cannot read package:skimage"),
    ],
)
def test_what_cannot_be_read_is_an_image_error(uri: str, reason: str):
    with pytest.raises(ImageError) as caught:
        images.read_bytes(uri)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_not_an_image(tmp_path: Path):
    with pytest.raises(ImageError, match="is not a file"):
        images.read_bytes(str(tmp_path))


def test_load_crops_squares_and_resizes(tmp_path: Path):
    image = _pixels(20, 30)
    path = tmp_path / "photo.png"
    path.write_bytes(images.encode(image))
    np.testing.assert_array_equal(
        images.load(str(path), (2, 3, 24, 12), 6), images.resize(image[3:15, 8:20], 6)
    )
    np.testing.assert_array_equal(images.load(str(path), None, 20), image[:, 5:25])


def test_load_names_the_image_that_it_cannot_load(tmp_path: Path):
    path = tmp_path / "photo.png"
    path.write_bytes(images.encode(_pixels()))
    with pytest.raises(ImageError, match=r"photo\.png: the box"):
        images.load(str(path), (0, 0, 99, 99), 8)
    path.write_bytes(b"junk")
    with pytest.raises(ImageError, match=r"photo\.png: not an image"):
        images.load(str(path), None, 8)
