"""JPEG and JPEG 2000: #10 and #11 of TID2013, and LIVE."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.sources import SUPPLEMENT
from rankloop.errors import ImageError

# Levels 1 to 5. An encode holds a quality layer for each, so that a decoder stops where it likes.
JPEG_2000_RATIOS = (52.0, 150.0, 343.0, 600.0, 1200.0)
_JPEG_BLOCK = 16
# Of libjpeg.
_JPEG_LONGEST_SIDE = 65500
# Wavelets of all scales reach far, but with little. With so many pixels around a square of 224
# pixels, ratios are within 5 % but for a few in a thousand, and within 8 %. A stream takes some 175
# bytes at least: 1200 is not reached below 272 x 272 pixels, and below 216 x 216 the strongest
# levels are alike.
_JPEG_2000_REACH = 48
# Bytes that OpenJPEG writes and does not count.
_UNCOUNTED = 10


def encode_jpeg(image: np.ndarray, quality: int, restart_rows: int = 0) -> bytes:
    """Return the image as baseline JPEG (4:2:0), with a restart marker every so many block rows.

    Raises:
        ImageError: a side is too long for JPEG.
    """
    _check_sides(image)
    buffer = io.BytesIO()
    Image.fromarray(image).save(
        buffer, "JPEG", quality=quality, subsampling="4:2:0", restart_marker_rows=restart_rows
    )
    return buffer.getvalue()


def encode_jpeg_2000(image: np.ndarray, ratios: Sequence[float], tile: int | None = None) -> bytes:
    """Return the image as a JPEG 2000 code stream with one quality layer per compression ratio.

    Args:
        image: uint8 (h, w, 3).
        ratios: raw bytes per compressed byte of each layer and those before it, falling.
        tile: side in pixels of the tiles, or None for one.
    """
    options = {} if tile is None else {"tile_size": (tile, tile)}
    rates = [image.size / max(1.0, image.size / ratio - _UNCOUNTED) for ratio in ratios]
    buffer = io.BytesIO()
    Image.fromarray(image).save(
        buffer,
        "JPEG2000",
        quality_mode="rates",
        quality_layers=rates,
        irreversible=True,
        no_jp2=True,
        **options,
    )
    return buffer.getvalue()


def decode_jpeg_2000(data: bytes, layers: int = 0) -> np.ndarray:
    """Return the image of the first quality layers, or of all for 0, uint8 (h, w, 3).

    Raises:
        OSError: the stream cannot be decoded.
    """
    with Image.open(io.BytesIO(data), formats=("JPEG2000",)) as image:
        # Pillow hands its own attribute for this to the decoder only together with `reduce`.
        tile = image.tile[0]
        assert isinstance(tile.args, tuple)
        codec, reduce, _, *rest = tile.args
        image.tile = [tile._replace(args=(codec, reduce, layers, *rest))]
        return np.asarray(image.convert("RGB"))


def _check_sides(image: np.ndarray) -> None:
    height, width, _ = image.shape
    if max(height, width) > _JPEG_LONGEST_SIDE:
        raise ImageError(
            f"{width} x {height} pixels: a JPEG has at most {_JPEG_LONGEST_SIDE} a side, make the "
            "image smaller"
        )


def _jpeg(
    image: np.ndarray, generator: np.random.Generator, qualities: Sequence[int], versions: Versions
) -> None:
    _check_sides(image)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    for quality, version in zip(qualities, versions, strict=True):
        _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
        version[...] = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def _jpeg_2000(
    image: np.ndarray, generator: np.random.Generator, ratios: Sequence[float], versions: Versions
) -> None:
    layers = sorted(JPEG_2000_RATIOS, reverse=True)
    data = encode_jpeg_2000(image, layers)
    for ratio, version in zip(ratios, versions, strict=True):
        version[...] = decode_jpeg_2000(data, layers.index(ratio) + 1)


COMPRESSIONS = (
    Distortion(
        "jpeg",
        (43, 12, 7, 4, 0),
        "quality of libjpeg, 0 to 100",
        f"{SUPPLEMENT}, #10 (levels 1 to 4) and LIVE",
        _jpeg,
        reach=_JPEG_BLOCK,
    ),
    Distortion(
        "jpeg2000",
        JPEG_2000_RATIOS,
        "compression ratio: raw bytes per compressed byte, at least some 175 bytes in all",
        f"{SUPPLEMENT}, #11 (levels 1 to 4) and LIVE",
        _jpeg_2000,
        reach=_JPEG_2000_REACH,
    ),
)
