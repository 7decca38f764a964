"""Decode images from anybody: formats, sizes and time within limits, RGB uint8 (h, w, 3)."""

import io
import math
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from rankloop.errors import ImageError
from rankloop.shown import first_line

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "JPEG2000")
# The largest photographs of UCF-QNRF have 67 million.
MAX_PIXELS = 70_000_000
# Their decoders take 15 and 19 bytes per pixel, where others take 7; of JPEG 2000 with a fourth
# channel it is 24.
_MAX_PIXELS_OF = {"WEBP": 32_000_000, "JPEG2000": 25_000_000}
_MAX_PIXELS_OF_FOUR_CHANNELS = 20_000_000
# Where JPEG 2000's codestream begins, up to the number of its channels.
_CODESTREAM = re.compile(rb"\xff\x4f\xff\x51.{36}(..)", re.DOTALL)
# A JPEG in several scans is whole in memory twice, as coefficients and as pixels.
_SCANS_BYTES, _COEFFICIENT_BYTES = 500_000_000, 2
# Each goes through the whole image, also with nothing in it; files of cameras and of the tightest
# encoders have up to 20.
MAX_SCANS = 100
# Pixels of all scans together, which take seconds: the largest photographs with 14 scans.
MAX_SCANNED = 1_000_000_000
# Each takes time as well; a file has a few per scan, and one per 64 KiB of notes.
MAX_MARKERS = 10_000
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SCAN = bytes([0xFF, _START_OF_SCAN])
# A marker that ends a scan, or a scan's parameters.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd8])", re.DOTALL)
# Converted at once: each conversion of Pillow's takes as much memory as what it is given.
_STRIP_PIXELS = 2**20

# Many threads read at once, of which most wait for storage; a photograph may take 0.5 GB to decode.
_cores = threading.BoundedSemaphore(os.cpu_count() or 1)
_mine = threading.local()

# Pillow registers its formats lazily, on whichever thread opens the first image.
Image.init()

# Pillow's modes whose values have one meaning, so that its conversion to RGB is the right one.
_CONVERTIBLE = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"})
_FROM_16_BITS = np.rint(np.arange(65536) / 257).astype(np.uint8)
_EXIF_ORIENTATION = 0x0112


@contextmanager
def with_a_core() -> Iterator[None]:
    """Wait until fewer threads of this process than it has cores are in such a block.

    For what follows on a photograph's decoding and holds it in memory. A thread that is in such a
    block enters others at once.
    """
    if getattr(_mine, "is_in", False):
        yield
        return
    with _cores:
        _mine.is_in = True
        try:
            yield
        finally:
            _mine.is_in = False


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a JPEG, PNG, BMP, WebP or JPEG 2000 image, safely with any bytes.

    EXIF orientation is applied, transparency is composited on white, 16-bit gray is divided by 257,
    and only the first frame of an animation is read. Colour profiles are not applied. Safe to call
    from many threads, of which as many decode at once as there are cores.

    Args:
        data: content of the file.
        max_pixels: larger images are refused from their header, before memory is taken for them;
            WebP above 32 million pixels, JPEG 2000 above 25 million (with four channels 20), and
            progressive JPEG of more than 500 MB in memory (50 million pixels in full colour), or
            of more than 1000 million pixels in all its scans, in any case.
            Pillow's own limit, ``2 * Image.MAX_IMAGE_PIXELS`` (179 million), holds as well.

    Returns:
        uint8 (h, w, 3), RGB.

    Raises:
        ImageError: empty, truncated, malformed, too large, or of another format; one line.
    """
    if not data:
        raise ImageError("the file is empty")
    try:
        with with_a_core():
            pixels, orientation = _decoded(data, max_pixels)
            # A copy, since what some orientations give is a view with negative strides.
            return np.ascontiguousarray(_upright(pixels, orientation))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"not an image in one of the formats {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{first_line(error)} Make the image smaller.") from error
    except Exception as error:  # hostile bytes reach many kinds, from struct.error to MemoryError
        raise ImageError(f"cannot decode the image: {first_line(error)}") from error


def check_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse what `decode` would refuse by a file's sizes, without decoding it.

    Raises:
        ImageError: empty, too large, or of no format that `decode` takes.
    """
    if not data:
        raise ImageError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, data, max_pixels)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"not an image in one of the formats {', '.join(FORMATS)}") from error


def _check_size(image: Image.Image, data: bytes, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"the image has {width} x {height} pixels: it must have at least 1 x 1")
    limit = min(max_pixels, _MAX_PIXELS_OF.get(image.format or "", max_pixels))
    of_format = "" if limit == max_pixels else f" for {image.format}"
    remedy = "make the image smaller"
    if image.format == "JPEG2000" and _channels(data) > 3:
        limit = min(limit, _MAX_PIXELS_OF_FOUR_CHANNELS)
        of_format = " for JPEG2000 with four channels"
    scans = 1
    if isinstance(image, JpegImageFile):
        scans, channels = _scans(data)
        in_several = scans > 1 or channels < len(image.layer) or "progressive" in image.info
        at_most = _SCANS_BYTES // _bytes_per_pixel(image)
        if in_several and at_most < limit:
            limit, of_format = at_most, f" for a progressive JPEG of {len(image.layer)} channels"
            remedy = "save the image as a baseline JPEG, or make it smaller"
    if width * height > limit:
        raise ImageError(
            f"{width} x {height} pixels are above the limit of {limit}{of_format}: {remedy}"
        )
    if scans * width * height > MAX_SCANNED:
        raise ImageError(
            f"{scans} scans of {width} x {height} pixels are above the limit of {MAX_SCANNED} "
            "pixels in all scans: save the image as a baseline JPEG, or make it smaller"
        )


def _channels(data: bytes) -> int:
    """Return the largest number of channels that a JPEG 2000 file gives anywhere."""
    found = _CODESTREAM.finditer(data)
    return max((int.from_bytes(match[1]) for match in found), default=0)


def _bytes_per_pixel(image: JpegImageFile) -> int:
    """Return what a JPEG in several scans takes, rounded up."""
    samples = [across * down for _, across, down, _ in image.layer]
    coefficients = _COEFFICIENT_BYTES * sum(samples) / max(1, *samples)
    return math.ceil(coefficients + (1 if image.mode == "L" else 4))


def _scans(data: bytes) -> tuple[int, int]:
    """Return how many scans of a JPEG libjpeg would read, and the channels in the first.

    Those of previews in front of the image and of other images behind it are none of them.

    Raises:
        ImageError: there are more of them, or of a JPEG's other parts, than in any photograph.
    """
    count = channels = markers = 0
    place = 2
    while found := _MARKER.search(data, place):
        kind, place = found[1][0], found.end()
        if kind == _END_OF_IMAGE:
            break
        markers += 1
        if markers > MAX_MARKERS:
            raise ImageError(
                f"it has more markers than the limit of {MAX_MARKERS}: save "
                "the image as a baseline JPEG without notes"
            )
        if kind == _START_OF_SCAN:
            count += 1
            if count > MAX_SCANS:
                raise ImageError(
                    f"it has more scans than the limit of {MAX_SCANS}: save "
                    "the image as a baseline JPEG"
                )
            channels = channels or int.from_bytes(data[place + 2 : place + 3])
            if data.find(_SCAN, place) < 0:
                break
        # Below 0xC0 are markers without a length.
        if kind >= 0xC0:
            place += int.from_bytes(data[place : place + 2])
    return count, channels


def _decoded(data: bytes, max_pixels: int) -> tuple[np.ndarray, int]:
    """Return pixels as they are stored, and their orientation; Pillow's own copy is gone then."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _check_size(image, data, max_pixels)
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
