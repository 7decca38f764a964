"""Read, decode, encode, crop and resize images: RGB uint8 (h, w, 3) everywhere.

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
from PIL import Image, UnidentifiedImageError

from rankloop.errors import ImageError, StorageError
from rankloop.filesystems import is_away, open_uri, patiently, seconds_tried
from rankloop.packed import PREFIX, read_packed
from rankloop.redaction import without_passwords

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "JPEG2000")
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".jp2", ".j2k"})
# The largest photographs of UCF-QNRF have 67 million.
MAX_PIXELS = 70_000_000
# Their decoders take 15 and 19 bytes per pixel, where others take 7.
_MAX_PIXELS_OF = {"WEBP": 32_000_000, "JPEG2000": 25_000_000}
# Converted at once: each conversion of Pillow's takes as much memory as what it is given.
_STRIP_PIXELS = 2**20

_PACKAGE_PREFIX = "package:"
_DATA_PREFIX = "data:"
_PACKAGES = ("skimage", "sklearn")

# Pillow registers its formats lazily, on whichever thread opens the first image.
Image.init()

# Pillow's modes whose values have one meaning, so that its conversion to RGB is the right one.
_CONVERTIBLE = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"})
_FROM_16_BITS = np.rint(np.arange(65536) / 257).astype(np.uint8)
_EXIF_ORIENTATION = 0x0112


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
                f"{_reason(error)}; run the same command again when the storage is back"
            ) from error
        raise ImageError(f"cannot read {shown_uri(uri)}: {_reason(error)}") from error


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


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a JPEG, PNG, BMP, WebP or JPEG 2000 image, safely with any bytes.

    EXIF orientation is applied, transparency is composited on white, 16-bit gray is divided by 257,
    and only the first frame of an animation is read. Colour profiles are not applied. Safe to call
    from many threads.

    Args:
        data: content of the file.
        max_pixels: larger images are refused from their header, before memory is taken for them;
            WebP above 32 million pixels and JPEG 2000 above 25 million in any case.
            Pillow's own limit, ``2 * Image.MAX_IMAGE_PIXELS`` (179 million), holds as well.

    Returns:
        uint8 (h, w, 3), RGB.

    Raises:
        ImageError: empty, truncated, malformed, too large, or of another format; one line.
    """
    if not data:
        raise ImageError("the file is empty")
    try:
        pixels, orientation = _decoded(data, max_pixels)
        # A copy, since what some orientations give is a view with negative strides.
        return np.ascontiguousarray(_upright(pixels, orientation))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"not an image in one of the formats {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{_reason(error)} Make the image smaller.") from error
    except Exception as error:  # hostile bytes reach many kinds, from struct.error to MemoryError
        raise ImageError(f"cannot decode the image: {_reason(error)}") from error


def check_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse what `decode` would refuse by a file's first bytes, without decoding it.

    Raises:
        ImageError: empty, too large, or of no format that `decode` takes.
    """
    if not data:
        raise ImageError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, max_pixels)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"not an image in one of the formats {', '.join(FORMATS)}") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"the image has {width} x {height} pixels: it must have at least 1 x 1")
    limit = min(max_pixels, _MAX_PIXELS_OF.get(image.format or "", max_pixels))
    if width * height > limit:
        of_format = "" if limit == max_pixels else f" for {image.format}"
        raise ImageError(
            f"{width} x {height} pixels are above the limit of {limit}{of_format}: make the image "
            "smaller"
        )


def _decoded(data: bytes, max_pixels: int) -> tuple[np.ndarray, int]:
    """Return pixels as they are stored, and their orientation; Pillow's own copy is gone then."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _check_size(image, max_pixels)
        image.load()
        return _in_strips(image), _orientation(image)


def _in_strips(image: Image.Image) -> np.ndarray:
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    if height <= rows:
        return _rgb(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        pixels[top:bottom] = _rgb(image.crop((0, top, width, bottom)))
    return pixels


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        gray = _FROM_16_BITS[np.asarray(image)]
        return np.repeat(gray[:, :, np.newaxis], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(rgba, mask=rgba.getchannel("A"))
        return np.array(opaque)
    if image.mode not in _CONVERTIBLE:
        raise ImageError(
            f"pixels of mode {image.mode} have no fixed range: save the image with 8 bits"
        )
    return np.array(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        # The pixels are whole: a broken note beside them is no reason to lose the image.
        return 1


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an orientation as EXIF 2.32 (tag 0x0112) numbers them; unknown numbers change nothing.

    5 to 8 are 1 to 4 with rows and columns exchanged.
    """
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


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
    return fit(load_whole(uri, crop_box, longest_side), None, size)


def load_whole(
    uri: str, crop_box: tuple[int, int, int, int] | None, longest_side: int | None = None
) -> np.ndarray:
    """Read, decode, shrink and crop an image: uint8 (h, w, 3), RGB, at its own scale.

    Raises:
        ImageError: as `read_bytes`, `decode` and `crop`; the message names the image.
    """
    data = read_bytes(uri)
    try:
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
