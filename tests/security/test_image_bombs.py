"""Images made to exhaust a reader: an error per file, in little memory, and work goes on."""

import io
import json
import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rankloop.images import MAX_PIXELS, encode

ROOT = Path(__file__).resolve().parents[2]
LIMIT_MIB = 512
_MEGABYTE = zlib.compress(bytes(1_000_000))
DECODE = """
import sys, warnings
warnings.simplefilter("ignore")
from rankloop.errors import ImageError
from rankloop.images import decode

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

data = sys.stdin.buffer.read()
before = peak()
try:
    said = "x".join(map(str, decode(data).shape))
except ImageError as error:
    said = f"refused: {error}"
print((peak() - before) // 1024, said, sep="|")
"""


def _chunk(name, body):
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def _png(width, height, *more, rows=0, channels=3):
    """A PNG that claims a size, with so many black rows."""
    kind = {1: 0, 3: 2, 4: 6}[channels]
    header = _chunk(b"IHDR", width.to_bytes(4) + height.to_bytes(4) + bytes([8, kind, 0, 0, 0]))
    packer = zlib.compressobj(9)
    row = bytes(1 + channels * width)
    body = b"".join([*(packer.compress(row) for _ in range(rows)), packer.flush()])
    parts = (header, *more, _chunk(b"IDAT", body), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _file(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _jpeg2000(**fields):
    """A small JPEG 2000 file whose SIZ marker says otherwise."""
    data = bytearray(_file(Image.new("RGB", (32, 32)), "JPEG2000", no_jp2=True))
    place = data.index(b"\xff\x51") + 2
    layout = ">HHIIIIIIIIH"
    names = ("length", "rsiz", "x", "y", "x0", "y0", "tile_x", "tile_y", "tx0", "ty0", "parts")
    values = dict(zip(names, struct.unpack_from(layout, data, place), strict=True)) | fields
    struct.pack_into(layout, data, place, *values.values())
    return bytes(data)


def _webp(width, height):
    """A small WebP file whose frame's header says otherwise."""
    data = bytearray(_file(Image.new("RGB", (32, 32)), "WEBP"))
    struct.pack_into("<HH", data, data.index(b"\x9d\x01\x2a") + 3, width, height)
    return bytes(data)


def _frames(format):
    frames = [Image.new("RGB", (64, 64), (i % 256, i // 256, 0)) for i in range(500)]
    return _file(frames[0], format, save_all=True, append_images=frames[1:])


BOMBS = {
    "png of 50,000 x 50,000": lambda: _png(50_000, 50_000),
    "png beyond the limit": lambda: _png(10_000, MAX_PIXELS // 10_000 + 1, rows=100),
    "png of 2**31 - 1 squared": lambda: _png(2**31 - 1, 2**31 - 1),
    "colour profile of 100 MB": lambda: _png(
        10, 10, _chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(100_000_000), 1)), rows=10
    ),
    "texts of 100 MB": lambda: _png(
        *(10, 10),
        *[_chunk(b"zTXt", b"k%d\0\0" % i + _MEGABYTE) for i in range(100)],
        rows=10,
    ),
    "tiles of 50,000 x 50,000": lambda: _jpeg2000(x=50_000, y=50_000, tile_x=50_000, tile_y=50_000),
    "a tile of 8,000 x 8,000": lambda: _jpeg2000(x=8_000, y=8_000, tile_x=8_000, tile_y=8_000),
    "tiles of one pixel": lambda: _jpeg2000(x=8_000, y=8_000, tile_x=1, tile_y=1),
    "far offset": lambda: _jpeg2000(
        x=2**31 - 1, y=2**31 - 1, x0=2**31 - 33, y0=2**31 - 33, tile_x=2**31 - 1, tile_y=2**31 - 1
    ),
    "16,384 components": lambda: _jpeg2000(parts=16_384),
    "webp beyond its limit": lambda: _webp(8_001, 4_000),
    "jpeg 2000 beyond its limit": lambda: _jpeg2000(x=5_001, y=5_000),
    "gif of many frames": lambda: _frames("GIF"),
    "truncated": lambda: _png(8_000, 8_000, rows=8_000)[:50_000],
}
SOUND = {
    "tile larger than the image": lambda: _jpeg2000(tile_x=2**31 - 1, tile_y=2**31 - 1),
    "png of many frames": lambda: _frames("PNG"),
    "one pixel": lambda: _png(1, 1, rows=1),
    "broken colour profile": lambda: _file(
        Image.new("RGB", (9, 9)), "JPEG", icc_profile=b"\0" * 99
    ),
    "cmyk": lambda: _file(Image.new("CMYK", (9, 9)), "JPEG"),
}
LARGEST = {
    "png": lambda: _png(10_000, MAX_PIXELS // 10_000, rows=MAX_PIXELS // 10_000),
    "png with transparency": lambda: _png(10_000, 7_000, rows=7_000, channels=4),
    "jpeg": lambda: _file(Image.new("RGB", (10_000, 7_000)), "JPEG"),
    "rotated jpeg": lambda: _file(Image.new("RGB", (10_000, 7_000)), "JPEG", exif=_rotated()),
    "webp": lambda: _file(Image.new("RGB", (8_000, 4_000)), "WEBP"),
    "webp with transparency": lambda: _file(Image.new("RGBA", (8_000, 4_000)), "WEBP"),
    "jpeg 2000": lambda: _file(Image.new("RGB", (5_000, 5_000)), "JPEG2000", irreversible=True),
}


def _rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _decoded(data):
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which this system does not have")
    done = subprocess.run(
        [sys.executable, "-c", DECODE],
        input=data,
        env={**os.environ, "PYTHONPATH": str(ROOT / "platform")},
        capture_output=True,
        check=True,
        timeout=100,
    )
    mib, said = done.stdout.decode().strip().split("|")
    return int(mib), said


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_little_memory(name):
    mib, said = _decoded(BOMBS[name]())
    assert said.startswith("refused: ")
    assert mib < LIMIT_MIB


@pytest.mark.parametrize("name", SOUND)
def test_what_is_odd_but_sound_is_read_in_little_memory(name):
    mib, said = _decoded(SOUND[name]())
    assert said.endswith("x3")
    assert mib < LIMIT_MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_images_are_read_in_little_memory(name):
    mib, said = _decoded(LARGEST[name]())
    assert said.endswith("x3")
    assert mib < LIMIT_MIB


@pytest.mark.slow
def test_a_job_goes_on_past_them(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 256, (96, 96, 3), np.uint8)
        (photos / f"{i}.png").write_bytes(encode(pixels))
    for i, bomb in enumerate(BOMBS.values()):
        (photos / f"bomb{i}.png").write_bytes(bomb())
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "jobs" / "train.py"), "--smoke", "--workers", "0"),
            *("--data", f"folder:{photos}", "--storage", str(tmp_path / "results")),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(Path(done.stdout.strip().splitlines()[-1], "result.json").read_text())
    skipped = dict(result["data"]["skipped"])
    assert sorted(skipped) == sorted(f"bomb{i}.png" for i in range(len(BOMBS)))
    assert all(skipped.values())
    # In kilobytes; torch alone takes several hundred megabytes.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2_000_000
