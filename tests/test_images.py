import io
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from rankloop import decoding, images
from rankloop.errors import ImageError


def _pixels(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def _smooth(height: int = 48, width: int = 64) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3, y * 4, 255 - x * 2], axis=-1).astype(np.uint8)


def _file(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def _png_claiming(width: int, height: int) -> bytes:
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes(1_500_000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", body)
        + _chunk(b"IEND", b"")
    )


# Decoding: what is refused


def test_a_small_png_that_claims_huge_sides_is_refused_in_little_memory(tmp_path: Path):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(_png_claiming(50_000, 50_000))
    assert bomb.stat().st_size < 3000
    program = f"""
import time
from rankloop.errors import ImageError
from rankloop.images import decode
data = open({str(bomb)!r}, "rb").read()
def peak_kb():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
before, start = peak_kb(), time.monotonic()
try:
    decode(data)
except ImageError as error:
    print(peak_kb() - before, time.monotonic() - start, error, sep="|")
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which this system does not have")
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    kilobytes, seconds, reason = result.stdout.strip().split("|")
    assert int(kilobytes) < 50_000
    assert float(seconds) < 1.0
    assert "2500000000 pixels" in reason
    assert "limit" in reason


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_cap_is_checked_against_the_header_before_the_pixels(monkeypatch: pytest.MonkeyPatch):
    def never(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    from PIL import PngImagePlugin

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", never)
    with pytest.raises(ImageError, match=r"12000 x 10000 pixels are above the limit of 70000000"):
        images.decode(_png_claiming(12_000, 10_000))


def test_the_cap_counts_pixels():
    data = images.encode(_pixels(20, 30))
    assert images.decode(data, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(ImageError, match="30 x 20 pixels are above the limit of 599"):
        images.decode(data, max_pixels=599)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP", "JPEG2000"])
def test_a_file_cut_anywhere_before_its_end_is_refused(format: str):
    data = _file(Image.fromarray(_pixels()), format)
    for length in [1, 4, 20, *(len(data) * i // 8 for i in range(1, 8))]:
        with pytest.raises(ImageError):
            images.decode(data[:length])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image at all", "not an image in one of the formats JPEG, PNG"),
        (bytes(range(256)) * 20, "not an image in one of the formats"),
        (b"\xff\xd8\xff\xe0" + bytes(100), ""),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), ""),
        (_png_claiming(0, 5), ""),
    ],
)
def test_garbage_is_refused_with_one_line(data: bytes, reason: str):
    with pytest.raises(ImageError) as caught:
        images.decode(data)
    assert reason in str(caught.value)
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    # The same file gives the same reason in every report: no addresses in it.
    assert "0x" not in str(caught.value)


@pytest.mark.parametrize("format", ["GIF", "TIFF", "PPM", "ICO"])
def test_formats_outside_the_allow_list_are_refused(format: str):
    with pytest.raises(ImageError, match="not an image in one of the formats"):
        images.decode(_file(Image.fromarray(_pixels()), format))


@given(st.binary(max_size=300), st.sampled_from(["JPEG", "PNG", "BMP", "WEBP", "JPEG2000"]))
@settings(max_examples=200, deadline=None)
def test_damaged_bytes_give_an_image_or_an_image_error(noise: bytes, format: str):
    data = bytearray(_file(Image.fromarray(_pixels(8, 8)), format))
    data[12 : 12 + len(noise)] = noise
    try:
        decoded = images.decode(bytes(data), max_pixels=10_000)
    except ImageError:
        return
    assert decoded.dtype == np.uint8
    assert decoded.shape[2] == 3


def test_every_other_failure_of_the_decoder_is_an_image_error(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageError, match="cannot decode the image: MemoryError"):
        images.decode(b"anything")


# Decoding: every mode


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP", "JPEG2000"])
def test_lossless_formats_give_the_pixels(format: str):
    pixels = _pixels()
    options = {"lossless": True} if format == "WEBP" else {}
    decoded = images.decode(_file(Image.fromarray(pixels), format, **options))
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, pixels)


def test_gray_fills_three_channels():
    gray = _pixels()[:, :, 0]
    decoded = images.decode(_file(Image.fromarray(gray), "PNG"))
    np.testing.assert_array_equal(decoded, np.stack([gray] * 3, axis=-1))


def test_one_bit_is_black_and_white():
    bits = _pixels()[:, :, 0] > 127
    decoded = images.decode(_file(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(decoded[:, :, 1], np.where(bits, 255, 0))


def test_16_bit_gray_is_scaled_and_not_clipped():
    gray = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = images.decode(_file(Image.fromarray(gray), "PNG"))
    expected = np.array([round(v / 257) for v in range(65536)]).reshape(256, 256)
    for channel in range(3):
        np.testing.assert_array_equal(decoded[:, :, channel], expected)


def test_palette():
    pixels = _pixels()
    palette = Image.fromarray(pixels).quantize(16)
    decoded = images.decode(_file(palette, "PNG"))
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(decoded, colours[np.asarray(palette)])


def test_a_transparent_palette_entry_is_white():
    indices = np.array([[0, 1], [1, 0]], np.uint8)
    palette = Image.fromarray(indices, "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    decoded = images.decode(_file(palette, "PNG", transparency=0))
    assert decoded.tolist() == [[[255] * 3, [40, 50, 60]], [[40, 50, 60], [255] * 3]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(mode: str):
    channels = 4 if mode == "RGBA" else 2
    values = np.random.default_rng(1).integers(0, 256, (12, 14, channels), np.uint8)
    decoded = images.decode(_file(Image.fromarray(values, mode), "PNG"))
    alpha = values[:, :, -1:].astype(float) / 255
    expected = values[:, :, :-1] * alpha + 255 * (1 - alpha)
    assert np.abs(decoded - expected).max() <= 0.5 + 1e-9
    assert (decoded[alpha[:, :, 0] == 0] == 255).all()


def test_cmyk_as_adobe_writes_it():
    # White, black, cyan and red as ink; Adobe's JPEG files store 255 minus the ink.
    ink = {(0, 0, 0, 0): 255, (0, 0, 0, 255): 0}
    for values, expected in ink.items():
        data = _file(Image.new("CMYK", (16, 16), values), "JPEG", quality=100)
        assert b"Adobe" in data
        assert np.abs(images.decode(data).astype(int) - expected).max() <= 2
    cyan = images.decode(_file(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100))
    assert np.abs(cyan[0, 0].astype(int) - [0, 255, 255]).max() <= 3


def test_modes_without_a_range_are_refused():
    for mode in ("I", "F"):
        with pytest.raises(ImageError, match=f"mode {mode} have no fixed range"):
            decoding._rgb(Image.new(mode, (2, 2)))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "I;16"])
def test_large_images_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch, mode: str):
    image = Image.fromarray(_pixels(64, 64))
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    image = Image.fromarray(deep) if mode == "I;16" else image.convert(mode)
    data = _file(image, "PNG", **({"transparency": 3} if mode == "P" else {}))
    whole = images.decode(data)
    monkeypatch.setattr(decoding, "_STRIP_PIXELS", 64 * 5)
    np.testing.assert_array_equal(images.decode(data), whole)


def test_one_pixel():
    for format in ("PNG", "BMP", "JPEG", "WEBP"):
        assert images.decode(_file(Image.new("RGB", (1, 1), "white"), format)).tolist() == [
            [[255, 255, 255]]
        ]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int):
    upright = _smooth()
    # What a camera stores, by the words of the EXIF table: where row 0 and column 0 of the stored
    # image lie in the upright one.
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: upright.transpose(1, 0, 2)[::-1],  # right, top
        7: upright.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
        8: upright.transpose(1, 0, 2)[:, ::-1],  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format in ("PNG", "JPEG"):
        image = Image.fromarray(np.ascontiguousarray(stored))
        decoded = images.decode(_file(image, format, exif=exif, quality=100))
        assert decoded.shape == upright.shape
        assert decoded.flags.c_contiguous
        assert np.abs(decoded.astype(int) - upright).mean() < (1e-9 if format == "PNG" else 3)


def test_an_unreadable_or_unknown_orientation_changes_nothing():
    pixels = _pixels()
    for exif in (b"Exif\x00\x00garbage", b"", _exif_bytes(9), _exif_bytes(0)):
        data = _file(Image.fromarray(pixels), "PNG", exif=exif)
        np.testing.assert_array_equal(images.decode(data), pixels)


def _exif_bytes(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    data = _file(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert (images.decode(data) == [255, 0, 0]).all()


def test_threads_decode_the_same():
    pixels = [_pixels(seed=i) for i in range(16)]
    files = [images.encode(image) for image in pixels]
    broken = threading.Event()

    def work(i: int) -> np.ndarray:
        try:
            images.decode(files[i][: len(files[i]) // 2])
        except ImageError:
            broken.set()
        return images.decode(files[i])

    with ThreadPoolExecutor(8) as pool:
        for decoded, expected in zip(pool.map(work, range(16)), pixels, strict=True):
            np.testing.assert_array_equal(decoded, expected)
    assert broken.is_set()


# Encoding


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))),
)
@settings(max_examples=100, deadline=None)
def test_png_round_trip(image: np.ndarray):
    before = image.copy()
    np.testing.assert_array_equal(images.decode(images.encode(image)), before)
    np.testing.assert_array_equal(image, before)


def test_jpeg_quality_matters():
    image = _smooth()
    errors = {
        quality: np.abs(
            images.decode(images.encode(image, "jpeg", quality)).astype(int) - image
        ).mean()
        for quality in (10, 95)
    }
    assert errors[95] < 2.0 < errors[10]


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(bad: np.ndarray):
    for function in (
        images.encode,
        images.center_square,
        lambda image: images.crop(image, 0, 0, 1, 1),
        lambda image: images.resize(image, 4),
    ):
        with pytest.raises(ValueError, match=r"must be uint8 \(h, w, 3\)"):
            function(bad)
