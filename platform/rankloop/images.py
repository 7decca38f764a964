"""Read, encode, crop and resize images: RGB uint8 (h, w, 3) everywhere.

No function changes its input; `shrink` returns it where nothing is to be done, the others never a
view of it.
"""

import base64
import importlib.resources
import io
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from rankloop.decoding import decode as decode
from rankloop.decoding import with_a_core
from rankloop.errors import ImageError, StorageError
from rankloop.filesystems import is_away, open_uri, patiently, seconds_tried
from rankloop.packed import PREFIX, read_packed
from rankloop.redaction import without_passwords
from rankloop.shown import first_line

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".jp2", ".j2k"})
_PACKAGE_PREFIX = "package:"
_DATA_PREFIX = "data:"
_PACKAGES = ("skimage", "sklearn")


def shown_uri(uri: str) -> str:
    """Return a URI for messages: without a password, and cut off if it holds its content."""
    return f"{uri[:40]}…" if uri.startswith(_DATA_PREFIX) else without_passwords(uri)


def read_bytes(uri: str) -> bytes:
    """Return a file's content.

    Args:
        uri: a local path; anything with ``://`` that pyarrow or fsspec knows;
            ``package:skimage/data/coffee.png``, a file of an installed skimage or sklearn; or
            ``pack:SHARD#ROW``, a file in a shard (see `rankloop.packed`); or
            ``data:image/png;base64,…``, which holds the content itself.

    Raises:
        ImageError: the file is missing or cannot be read, or the package is another.
        StorageError: the storage that it is in has been away for `seconds_tried`, which says
            nothing of the file.
    """
    try:
        if uri.startswith(_PACKAGE_PREFIX):
            return _read_package(uri)
        if uri.startswith(PREFIX):
            return patiently(f"read {uri}", lambda: read_packed(uri))
        if uri.startswith(_DATA_PREFIX):
            return base64.b64decode(uri.partition(";base64,")[2], validate=True)
        if "://" in uri:
            return patiently(f"read {uri}", lambda: _read_remote(uri))
        local = Path(uri)
        # Opening a pipe or a device could wait for ever.
        if local.exists() and not local.is_file():
            raise ImageError(f"{uri} is not a file")
        return local.read_bytes()
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{shown_uri(uri)} does not exist") from error
    except Exception as error:  # file systems raise errors of their own libraries
        if is_away(error):
            raise StorageError(
                f"cannot read {shown_uri(uri)} for {seconds_tried(error):.0f} s: "
                f"{first_line(error)}; run the same command again when the storage is back"
            ) from error
        raise ImageError(f"cannot read {shown_uri(uri)}: {first_line(error)}") from error


def _read_remote(uri: str) -> bytes:
    filesystem, path = open_uri(uri)
    with filesystem.open_input_stream(path, compression=None) as stream:
        content: bytes = stream.read()
    return content


def _read_package(uri: str) -> bytes:
    package, *parts = uri.removeprefix(_PACKAGE_PREFIX).split("/")
    if package not in _PACKAGES:
        raise ImageError(f"{uri} names the package {package!r}: only {_PACKAGES} can be read")
    if any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise ImageError(f"{uri} must be a plain path inside the package, without '..'")
    return importlib.resources.files(package).joinpath(*parts).read_bytes()


def encode(image: np.ndarray, format: Literal["png", "jpeg"] = "png", quality: int = 95) -> bytes:
    """Return the image as the content of a file.

    Args:
        image: uint8 (h, w, 3), RGB.
        format: ``"png"`` keeps every pixel, ``"jpeg"`` does not.
        quality: of JPEG, 1 to 95.
    """
    check_image(image)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format.upper(), quality=quality)
    return buffer.getvalue()


def crop(image: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    """Return the pixels in columns [x, x + width) and rows [y, y + height).

    Raises:
        ImageError: the box is empty or not wholly inside the image.
    """
    check_image(image)
    rows, columns, _ = image.shape
    inside = 0 <= x < x + width <= columns and 0 <= y < y + height <= rows
    if not inside:
        raise ImageError(
            f"the box x={x} y={y} width={width} height={height} is not inside the image of "
            f"{columns} x {rows} pixels: give a box of at least 1 x 1 inside it"
        )
    return image[y : y + height, x : x + width].copy()


def center_square(image: np.ndarray) -> np.ndarray:
    """Return the largest square in the middle; of two middles, the upper or left one."""
    check_image(image)
    height, width, _ = image.shape
    side = min(height, width)
    return crop(image, (width - side) // 2, (height - side) // 2, side, side)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a square image: area averaging to shrink, bicubic interpolation to enlarge.

    Args:
        image: uint8 (s, s, 3).
        size: new side in pixels, >= 1.

    Returns:
        uint8 (size, size, 3).

    Raises:
        ValueError: the image is not square, or size < 1.
    """
    check_image(image)
    height, width, _ = image.shape
    if height != width or size < 1:
        raise ValueError(
            f"cannot resize {width} x {height} pixels to a side of {size}: "
            "give a square image (see center_square) and a size of at least 1"
        )
    if size == height:
        return image.copy()
    interpolation = cv2.INTER_AREA if size < height else cv2.INTER_CUBIC
    resized: np.ndarray = cv2.resize(image, (size, size), interpolation=interpolation)
    return resized


def fit(image: np.ndarray, crop_box: tuple[int, int, int, int] | None, size: int) -> np.ndarray:
    """Crop to a box (x, y, width, height) if there is one, then to the middle square, and resize.

    Returns:
        uint8 (size, size, 3).

    Raises:
        ImageError: the box is not inside the image.
    """
    return resize(center_square(image if crop_box is None else crop(image, *crop_box)), size)


def shrink(image: np.ndarray, longest_side: int | None) -> np.ndarray:
    """Return the image, by area averaging where its longest side is above a limit (None: never)."""
    height, width, _ = image.shape
    if longest_side is None or max(height, width) <= longest_side:
        return image
    scale = longest_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk: np.ndarray = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return shrunk


def resize_short_side(image: np.ndarray, short_side: int, longest_side: int) -> np.ndarray:
    """Resize an image, keeping its aspect ratio, until its shorter side has so many pixels.

    By area averaging to shrink it, by bicubic interpolation to enlarge it. Of an image so long that
    its longer side would have more than ``longest_side`` pixels the middle is taken.

    Args:
        image: uint8 (h, w, 3).
        short_side: pixels of the shorter side, >= 1.
        longest_side: limit of the longer side, >= ``short_side``.

    Returns:
        uint8 (h, w, 3).
    """
    check_image(image)
    shortest = min(image.shape[:2])
    scale = short_side / shortest
    middle = _middle(image, shortest * longest_side // short_side)
    height, width, _ = middle.shape
    size = (round(width * scale), round(height * scale))
    if size == (width, height):
        return middle.copy()
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized: np.ndarray = cv2.resize(middle, size, interpolation=interpolation)
    return resized


def _middle(image: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle out of an image where it is higher or wider than so many pixels."""
    height, width, _ = image.shape
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    return image[top : top + side, left : left + side]


def load(
    uri: str,
    crop_box: tuple[int, int, int, int] | None,
    size: int,
    longest_side: int | None = None,
) -> np.ndarray:
    """Read, decode, shrink and fit an image: uint8 (size, size, 3), RGB.

    Raises:
        ImageError: as `read_bytes`, `decode` and `crop`; the message names the image.
    """
    data = read_bytes(uri)
    with with_a_core():
        return fit(_whole(uri, data, crop_box, longest_side), None, size)


def load_whole(
    uri: str, crop_box: tuple[int, int, int, int] | None, longest_side: int | None = None
) -> np.ndarray:
    """Read, decode, shrink and crop an image: uint8 (h, w, 3), RGB, at its own scale.

    Raises:
        ImageError: as `read_bytes`, `decode` and `crop`; the message names the image.
    """
    return _whole(uri, read_bytes(uri), crop_box, longest_side)


def _whole(
    uri: str,
    data: bytes,
    crop_box: tuple[int, int, int, int] | None,
    longest_side: int | None,
) -> np.ndarray:
    try:
        with with_a_core():
            image = shrink(decode(data), longest_side)
            return image if crop_box is None else crop(image, *crop_box)
    except ImageError as error:
        raise ImageError(f"{shown_uri(uri)}: {error}") from error


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless the array is an image: uint8 (h, w, 3) with h, w >= 1."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f"an image must be uint8 (h, w, 3) with h, w >= 1, not {image.dtype} {image.shape}"
        )
