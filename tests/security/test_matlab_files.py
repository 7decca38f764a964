"""MATLAB files of a few bytes that would end a job, or take all of its memory."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from rankloop.datasets.layouts import tree
from rankloop.datasets.layouts.mat_size import MAX_DEPTH
from rankloop.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
CELL, STRUCT, CHAR, DOUBLE = 1, 2, 4, 6


def _element(kind, body):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def _matrix(kind, shape, *parts, says=None):
    header = _element(6, struct.pack("<II", kind, 0))
    header += _element(5, struct.pack(f"<{len(shape)}i", *shape)) + _element(1, b"x")
    body = header + b"".join(parts)
    return struct.pack("<II", 14, len(body) if says is None else says) + body


def _file(*variables):
    return b"MATLAB".ljust(124) + struct.pack("<H", 0x100) + b"IM" + b"".join(variables)


def _packed(*variables):
    return _file(*(_element(15, zlib.compress(variable)) for variable in variables))


def _nested(depth, says=None):
    inner = _matrix(DOUBLE, [1, 1], _element(9, bytes(8)), says=says)
    for _ in range(depth):
        inner = _matrix(CELL, [1, 1], inner, says=says)
    return inner


def _text(count):
    return _matrix(CHAR, [1, count], _element(16, b""))


HOSTILE = {
    "5,000 cells in each other": lambda: _file(_nested(5_000)),
    "packed, too": lambda: _packed(_nested(5_000)),
    "that say to be short": lambda: _file(_nested(5_000, says=8)),
    "a text of 60 million letters": lambda: _file(_text(60_000_000)),
    "a text in a cell": lambda: _file(_matrix(CELL, [1, 1], _text(60_000_000))),
    "many texts": lambda: _file(_matrix(CELL, [1, 9], *[_text(5_000_000)] * 9)),
    "many variables": lambda: _file(*[_text(5_000_000)] * 9),
    "a text in a structure": lambda: _file(
        _matrix(
            *(STRUCT, [1, 1]),
            *(_element(5, struct.pack("<i", 8)), _element(1, b"field\0\0\0")),
            _text(60_000_000),
        )
    ),
    "two million empty cells": lambda: _packed(
        _matrix(CELL, [1, 2_000_000], struct.pack("<II", 14, 0) * 2_000_000)
    ),
    "300 MB of zeros": lambda: _packed(_matrix(DOUBLE, [1, 1], _element(9, bytes(300_000_000)))),
    "a negative shape": lambda: _file(_matrix(CELL, [-1, -5])),
    "cells that are not there": lambda: _file(_matrix(CELL, [1, 1_000])),
}


# In a process of its own, which such a file could end.
READ = """
import resource, sys
from rankloop.datasets.layouts.tree import read_mat
from rankloop.errors import DataError
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
for path in sys.argv[1:]:
    before = peak()
    try:
        read_mat(path)
    except DataError as error:
        print(peak() - before, error, flush=True)
"""


def test_they_are_refused_in_little_memory(tmp_path):
    paths = []
    for name, make in HOSTILE.items():
        paths.append(tmp_path / f"{name}.mat")
        paths[-1].write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)],
        env={"PYTHONPATH": str(ROOT / "platform")},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    said = done.stdout.splitlines()
    assert len(said) == len(paths), f"{done.returncode} after {said[-1:]}: {done.stderr}"
    for line, path in zip(said, paths, strict=True):
        mib, _, why = line.partition(" ")
        assert why.startswith(f"{path} is not a MATLAB file that can be read: ")
        # 256 MiB and the file itself.
        assert int(mib) < 300


def test_what_is_deep_but_sound_is_read(tmp_path):
    path = tmp_path / "x.mat"
    path.write_bytes(_file(_nested(MAX_DEPTH - 1)))
    assert "x" in tree.read_mat(str(path))
    path.write_bytes(_file(_nested(MAX_DEPTH)))
    with pytest.raises(DataError, match=f"nested above the limit of {MAX_DEPTH}"):
        tree.read_mat(str(path))


@pytest.mark.parametrize("packed", [False, True])
def test_all_that_matlab_writes_is_read(packed):
    content = {
        "numbers": np.arange(12.0).reshape(3, 4) * 1j,
        "bytes": np.ones((2, 2, 2), np.uint8),
        "text": "abc",
        "cells": np.array([["a", np.ones((1, 0))]], object),
        "structure": {"points": np.ones((5, 2)), "deeper": {"n": 5}},
        "sparse": scipy.sparse.eye(3).tocsc() * 1j,
    }
    file = io.BytesIO()
    scipy.io.savemat(file, content, do_compression=packed)
    tree.check_size(file.getvalue(), tree.MAX_BYTES)
