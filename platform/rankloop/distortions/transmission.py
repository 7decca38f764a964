"""Bit errors on the way: #12 and #13 of TID2013, and the fast fading of LIVE.

Levels are nested: the bits that a weak level turns over are turned over by the stronger ones, too.
Headers are thought of as protected: only coded image data are hit.
"""

import io
import math
from collections.abc import Sequence

import numpy as np
import scipy.special
from PIL import Image

from rankloop.distortions.compression import decode_jpeg_2000, encode_jpeg, encode_jpeg_2000
from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.sources import TID_2013
from rankloop.errors import ImageError

_JPEG_QUALITY = 90
_JPEG_ERROR_RATES = (5e-6, 1.2e-5, 3e-5, 7e-5, 1.6e-4)
# LIVE's streams had 2.5 bits per pixel.
_JPEG_2000_RATIO = 24 / 2.5
_TILE = 128
_JPEG_2000_ERROR_RATES = (4e-6, 1.2e-5, 4e-5, 1.2e-4, 3e-4)
_SIGNAL_TO_NOISE = (40.0, 35.0, 31.0, 27.0, 23.0)
# Share of each tile's data, the first, that holds the coarsest wavelets: without them nothing can
# be recognised, and senders protect them best (JPWL, ITU-T T.810).
_PROTECTED = 1 / 16
# Bytes that share one state of the channel.
_COHERENCE_BYTES = 32
_JPEG_BLOCK = 16
_JPEG_2000_REACH = 32
_START_OF_SCAN = b"\xff\xda"
_START_OF_TILE = b"\xff\x90"
_START_OF_DATA = b"\xff\x93"
# Of the tile's length, after the marker, in its header (ITU-T T.800, A.4.2).
_LENGTH_AT = slice(6, 10)


def _jpeg_errors(
    image: np.ndarray, generator: np.random.Generator, rates: Sequence[float], versions: Versions
) -> None:
    """Restart markers end what an error spoils after one row of blocks."""
    clean = np.frombuffer(encode_jpeg(image, _JPEG_QUALITY, restart_rows=1), np.uint8)
    scan = clean.tobytes().rindex(_START_OF_SCAN) + 2
    # The scan's own header begins with its length.
    start = scan + int.from_bytes(clean[scan : scan + 2].tobytes(), "big")
    coded = np.arange(start, len(clean) - 2)
    # Markers stay markers, and nothing else becomes one.
    marker = clean == 0xFF
    fixed = marker.copy()
    fixed[1:] |= marker[:-1]
    bits, strengths = _hits(generator, coded, _JPEG_ERROR_RATES[-1])
    for rate, version in zip(rates, versions, strict=True):
        data = clean.copy()
        _turn_over(data, bits[strengths < rate])
        spoiled = fixed | (data == 0xFF)
        data[spoiled] = clean[spoiled]
        version[...] = _decoded_jpeg(data.tobytes())


def _decoded_jpeg(data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ImageError(f"JPEG with transmission errors cannot be decoded: {error}") from error


def _jpeg_2000_errors(
    image: np.ndarray, generator: np.random.Generator, rates: Sequence[float], versions: Versions
) -> None:
    clean = np.frombuffer(encode_jpeg_2000(image, [_JPEG_2000_RATIO], _TILE), np.uint8)
    bits, strengths = _hits(generator, _coded(clean), _JPEG_2000_ERROR_RATES[-1])
    for rate, version in zip(rates, versions, strict=True):
        version[...] = _decoded_jpeg_2000(clean, bits[strengths < rate])


def _fast_fading(
    image: np.ndarray,
    generator: np.random.Generator,
    decibels: Sequence[float],
    versions: Versions,
) -> None:
    """Bit errors of binary phase-shift keying over a Rayleigh channel, bursty as its fades are."""
    clean = np.frombuffer(encode_jpeg_2000(image, [_JPEG_2000_RATIO]), np.uint8)
    bits = (8 * _coded(clean)[:, np.newaxis] + np.arange(8)).ravel()
    fades = generator.standard_exponential(len(clean) // _COHERENCE_BYTES + 1)
    draws = generator.random(len(bits), dtype=np.float32)
    gains = fades[bits // (8 * _COHERENCE_BYTES)]
    for decibel, version in zip(decibels, versions, strict=True):
        signal_to_noise = 10.0 ** (decibel / 10.0)
        error_rates = 0.5 * scipy.special.erfc(np.sqrt(signal_to_noise * gains))
        version[...] = _decoded_jpeg_2000(clean, bits[draws < error_rates])


def _decoded_jpeg_2000(clean: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Decode with these bits turned over.

    Errors in the header of a packet may stop the decoder: then the first of them is corrected,
    until it goes on.
    """
    hits = np.sort(bits)
    corrected = 0
    while True:
        data = clean.copy()
        _turn_over(data, hits[corrected:])
        try:
            return decode_jpeg_2000(data.tobytes())
        except OSError:
            # Without errors it decodes: the stream is our own.
            if corrected >= len(hits):
                raise
            corrected += 1


def _coded(stream: np.ndarray) -> np.ndarray:
    """Return where a JPEG 2000 stream holds data that are not protected, int64 (n,)."""
    data = stream.tobytes()
    places = []
    tile = data.index(_START_OF_TILE)
    while data[tile : tile + 2] == _START_OF_TILE:
        end = tile + int.from_bytes(data[tile:][_LENGTH_AT], "big")
        start = data.index(_START_OF_DATA, tile) + 2
        places.append(np.arange(start + math.ceil(_PROTECTED * (end - start)), end))
        tile = end
    return np.concatenate(places)


def _hits(
    generator: np.random.Generator, places: np.ndarray, highest_rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the bits hit at the highest rate, and for each the rate from which on it is hit."""
    count = int(generator.binomial(8 * len(places), highest_rate))
    # A bit that is drawn twice is turned over once.
    drawn, first = np.unique(generator.integers(0, 8 * len(places), count), return_index=True)
    strengths = highest_rate * generator.random(count)[first]
    return 8 * places[drawn // 8] + drawn % 8, strengths


def _turn_over(data: np.ndarray, bits: np.ndarray) -> None:
    np.bitwise_xor.at(data, bits // 8, (1 << (bits % 8)).astype(np.uint8))


# None promises its order: an error that misleads the decoder may hide a worse one behind it.
TRANSMISSIONS = (
    Distortion(
        "jpeg_transmission_errors",
        _JPEG_ERROR_RATES,
        "share of bits turned over in JPEG of quality 90, restarted at each row of blocks",
        f"{TID_2013}, #12",
        _jpeg_errors,
        is_monotone=False,
        reach=_JPEG_BLOCK,
    ),
    Distortion(
        "jpeg2000_transmission_errors",
        _JPEG_2000_ERROR_RATES,
        "share of bits turned over in JPEG 2000 of 2.5 bits per pixel and tiles of 128 pixels",
        f"{TID_2013}, #13",
        _jpeg_2000_errors,
        is_monotone=False,
        reach=_JPEG_2000_REACH,
    ),
    Distortion(
        "fast_fading",
        _SIGNAL_TO_NOISE,
        "signal-to-noise ratio in dB of a Rayleigh channel for JPEG 2000 of 2.5 bits per pixel",
        "LIVE release 2 (Sheikh et al. 2006)",
        _fast_fading,
        is_monotone=False,
        reach=_JPEG_2000_REACH,
    ),
)
