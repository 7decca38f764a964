"""Images made to exhaust a reader: an error per file, in little memory, and work goes on."""

import io
import json
import os
import re
import resource
import struct
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rankloop.decoding import MAX_MARKERS, MAX_PIXELS, MAX_SCANS, check_header, decode
from rankloop.errors import ImageError
from rankloop.images import encode

ROOT = Path(__file__).resolve().parents[2]
LIMIT_MIB = 512
_FULL = {"subsampling": "4:4:4"}
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


def _jpeg2000(image=None, **fields):
    """A small JPEG 2000 file whose SIZ marker says otherwise."""
    image = image or Image.new("RGB", (32, 32))
    data = bytearray(_file(image, "JPEG2000", no_jp2=True))
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


def _jpeg(width, height, mode, progressive=True):
    """A small JPEG whose frame's header says otherwise."""
    data = bytearray(_file(Image.new(mode, (32, 32)), "JPEG", **_FULL, progressive=progressive))
    struct.pack_into(
        ">HH", data, data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5, height, width
    )
    return bytes(data)


def _apart(width, height, mode):
    """A baseline JPEG whose channels are in scans of their own, by the first of these."""
    data = bytearray(_jpeg(width, height, mode, progressive=False))
    place = data.index(b"\xff\xda") + 2
    length = int.from_bytes(data[place : place + 2])
    first = (
        (8).to_bytes(2)
        + b"\x01"
        + data[place + 3 : place + 5]
        + data[place + length - 3 : place + length]
    )
    return bytes(data[:place] + first + data[place + length :])


def _many_scans(count, between=b"", size=(64, 64)):
    """A progressive JPEG that has its last scan so many times more."""
    data = _file(Image.new("RGB", size), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + (between + data[last:-2]) * count + data[-2:]


def _with_preview(image):
    """A JPEG with, in its notes, one of 150 scans."""
    exif = Image.Exif()
    exif[0x010E] = _many_scans(150)[:60_000].decode("latin-1")
    return _file(image, "JPEG", exif=exif, progressive=True)


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
    "jpeg 2000 with transparency beyond its limit": lambda: _jpeg2000(
        x=5_001, y=4_000, image=Image.new("RGBA", (32, 32))
    ),
    "progressive jpeg beyond its limit": lambda: _jpeg(10_000, 5_001, "RGB"),
    "progressive cmyk beyond its limit": lambda: _jpeg(10_000, 4_200, "CMYK"),
    "cmyk in scans beyond its limit": lambda: _apart(10_000, 4_200, "CMYK"),
    "many scans": lambda: _many_scans(MAX_SCANS),
    "many scans behind comments": lambda: _many_scans(MAX_SCANS, b"\xff\xfe\x00\x04\xff\xd9"),
    "scans of many pixels": lambda: _many_scans(80, size=(4_000, 3_000)),
    "many tables": lambda: _many_scans(1, b"\xff\xc4\0\2" * MAX_MARKERS),
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
    "some scans": lambda: _many_scans(MAX_SCANS - 20),
    "some scans of many pixels": lambda: _many_scans(4, size=(10_000, 7_000)),
    "a preview of many scans": lambda: _with_preview(Image.new("RGB", (64, 64))),
    "scans behind the image": lambda: _many_scans(1) + b"\xff\xda\0\0" * 200,
}
LARGEST = {
    "png": lambda: _png(10_000, MAX_PIXELS // 10_000, rows=MAX_PIXELS // 10_000),
    "png with transparency": lambda: _png(10_000, 7_000, rows=7_000, channels=4),
    "jpeg": lambda: _file(Image.new("RGB", (10_000, 7_000)), "JPEG"),
    "rotated jpeg": lambda: _file(Image.new("RGB", (10_000, 7_000)), "JPEG", exif=_rotated()),
    "webp": lambda: _file(Image.new("RGB", (8_000, 4_000)), "WEBP"),
    "webp with transparency": lambda: _file(Image.new("RGBA", (8_000, 4_000)), "WEBP"),
    "cmyk": lambda: _file(Image.new("CMYK", (10_000, 7_000)), "JPEG"),
    "progressive jpeg": lambda: _file(
        Image.new("RGB", (10_000, 5_000)), "JPEG", **_FULL, progressive=True
    ),
    "progressive jpeg of fewer colours": lambda: _file(
        Image.new("RGB", (10_000, 7_000)), "JPEG", subsampling="4:2:0", progressive=True
    ),
    "progressive cmyk": lambda: _file(
        Image.new("CMYK", (10_000, 4_166)), "JPEG", **_FULL, progressive=True
    ),
    "progressive gray": lambda: _file(Image.new("L", (10_000, 7_000)), "JPEG", progressive=True),
    "jpeg 2000": lambda: _file(Image.new("RGB", (5_000, 5_000)), "JPEG2000", irreversible=True),
    "jpeg 2000 with transparency": lambda: _file(
        Image.new("RGBA", (5_000, 4_000)), "JPEG2000", irreversible=True
    ),
    "16 bits": lambda: _file(Image.new("I;16", (10_000, 7_000)), "PNG"),
    "bmp": lambda: _file(Image.new("RGB", (10_000, 7_000)), "BMP"),
    "bmp with transparency": lambda: _file(Image.new("RGBA", (10_000, 7_000)), "BMP"),
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


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "many scans",
            "it has more scans than the limit of 100: save the image as a baseline JPEG",
        ),
        ("many scans behind comments", "it has more scans than the limit of 100"),
        (
            "scans of many pixels",
            "90 scans of 4000 x 3000 pixels are above the limit of 1000000000 pixels in all scans: "
            "save the image as a baseline JPEG, or make it smaller",
        ),
        (
            "many tables",
            "it has more markers than the limit of 10000: save the image as a",
        ),
        (
            "progressive jpeg beyond its limit",
            "10000 x 5001 pixels are above the limit of 50000000 for a progressive JPEG of 3 "
            "channels: save the image as a baseline JPEG, or make it smaller",
        ),
        (
            "cmyk in scans beyond its limit",
            "limit of 41666666 for a progressive JPEG of 4 channels",
        ),
        (
            "jpeg 2000 with transparency beyond its limit",
            "limit of 20000000 for JPEG2000 with four",
        ),
    ],
)
def test_why_they_are_refused(name, says):
    for look in (decode, check_header):
        with pytest.raises(ImageError, match=re.escape(says)):
            look(BOMBS[name]())


@pytest.mark.parametrize("marker", [b"\xff\xda\0\2", b"\xff\xc4\0\2", b"\xff\x01", b"\xff"])
def test_files_of_markers_alone_take_no_time(marker):
    data = _many_scans(1)
    place = data.rindex(b"\xff\xda")
    data = data[:place] + marker * (20 * 2**20 // len(marker)) + data[place:]
    started = time.process_time()
    with suppress(ImageError):
        check_header(data)
    assert time.process_time() - started < 1


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
