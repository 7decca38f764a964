"""How much memory a MATLAB file would take, found out before SciPy reads it.

A cell or a text of any size takes a few bytes of a file, and SciPy calls itself for each cell in
another, until the process dies.
"""

import io
import math
import struct
import zlib

import scipy.io
from scipy.io.matlab import matfile_version

# Releases have structures in cells in structures.
MAX_DEPTH = 16
_BYTES_PER_ELEMENT = 8
# Of NumPy's object around each matrix in a cell.
_BYTES_PER_MATRIX = 256

# Of the MATLAB 5 format, which says in its header's last two bytes in which order it is written.
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 5, 16, 17
_COMPLEX = 1 << 11


def check_size(data: bytes, max_bytes: int) -> None:
    """Refuse a file of version 4 to 7 that would take too much memory, or nests too deep.

    Raises:
        ValueError, struct.error: it would, or is malformed.
    """
    if matfile_version(io.BytesIO(data))[0] == 0:  # type: ignore[arg-type]
        # Version 4 has neither cells nor compression.
        variables = scipy.io.whosmat(io.BytesIO(data), chars_as_strings=False)  # type: ignore[arg-type]
        _check(sum(_BYTES_PER_ELEMENT * math.prod(shape) for _, shape, _ in variables), max_bytes)
        return
    order = "<" if data[_HEADER - 2 : _HEADER] == b"IM" else ">"
    place, inflated, total = _HEADER, 0, 0
    while place + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        if kind == _COMPRESSED:
            content = zlib.decompressobj().decompress(
                data[place + 8 : place + 8 + length], max_bytes - inflated + 1
            )
            inflated += len(content)
            _check(inflated, max_bytes)
        else:
            content = data[place : place + 8 + length]
        walk = _Walk(content, order, max_bytes - total)
        walk.matrix(1)
        total += walk.total
        place += 8 + length


def _check(total: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise ValueError(f"its variables are above the limit of {max_bytes} bytes")


class _Walk:
    """Goes through a variable as SciPy does: how long a matrix in another says that it is, SciPy
    does not look at.
    """

    def __init__(self, content: bytes, order: str, max_bytes: int) -> None:
        self.content, self.order, self.max_bytes = content, order, max_bytes
        self.place = self.total = 0

    def matrix(self, depth: int) -> None:
        kind, length = self._numbers("II")
        if kind != _MATRIX:
            raise ValueError(f"its element of type {kind} is none of a variable")
        self._count(_BYTES_PER_MATRIX)
        if length == 0:
            return
        if depth > MAX_DEPTH:
            raise ValueError(f"its cells are nested above the limit of {MAX_DEPTH}")
        _, _, flags, _ = self._numbers("IIII")
        kind = flags & 0xFF
        if kind == _OPAQUE:
            self._skip(3)
            self.matrix(depth + 1)
            return
        shape = self._integers()
        if not shape or min(shape) < 0:
            raise ValueError(f"its variable of shape {shape} can be none")
        size = math.prod(shape)
        self._skip(1)
        self._count(_BYTES_PER_ELEMENT * size)
        if kind in (_CELL, _STRUCT, _OBJECT, _FUNCTION):
            self._skip(1 if kind == _OBJECT else 0)
            fields = self._fields() if kind in (_STRUCT, _OBJECT) else 1
            for _ in range(fields * (1 if kind == _FUNCTION else size)):
                self.matrix(depth + 1)
        else:
            self._skip((3 if kind == _SPARSE else 1) + (1 if flags & _COMPLEX else 0))

    def _count(self, size: int) -> None:
        self.total += size
        _check(self.total, self.max_bytes)

    def _fields(self) -> int:
        length, names = self._integers(), self._element()
        if len(length) != 1 or length[0] < 1:
            raise ValueError(f"its names of {length} bytes can be none")
        return len(names) // length[0]

    def _skip(self, elements: int) -> None:
        for _ in range(elements):
            self._element()

    def _integers(self) -> tuple[int, ...]:
        data = self._element()
        return struct.unpack(f"{self.order}{len(data) // 4}i", data[: len(data) // 4 * 4])

    def _element(self) -> bytes:
        kind, length = self._numbers("II")
        # An element of up to four bytes is in the place of its length.
        start, small = self.place, kind >> 16
        if small:
            start, length = self.place - 4, small
        else:
            self.place += -(-length // 8) * 8
        if small > 4 or start + length > len(self.content):
            raise ValueError(f"its element of {length} bytes is cut off")
        return self.content[start : start + length]

    def _numbers(self, layout: str) -> tuple[int, ...]:
        numbers = struct.unpack_from(self.order + layout, self.content, self.place)
        self.place += struct.calcsize(self.order + layout)
        return numbers
