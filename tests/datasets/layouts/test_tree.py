"""Tables and matrices of releases, however odd the file."""

import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import openpyxl
import pytest
import scipy.io

from rankloop.datasets.layouts.tree import MAX_BYTES, open_tree, read_mat, read_sheet
from rankloop.errors import DataError


def test_a_small_file_that_grows_without_end_is_refused(tmp_path: Path):
    location = tmp_path / "x.mat"
    scipy.io.savemat(location, {"annPoints": np.zeros((40_000_000, 1))}, do_compression=True)
    assert location.stat().st_size < 2**20
    with pytest.raises(DataError, match="above the limit of 268435456 bytes"):
        read_mat(str(location))


def test_text_that_is_claimed_but_not_there_is_refused(tmp_path: Path):
    location = tmp_path / "x.mat"
    scipy.io.savemat(location, {"annPoints": ""})
    data = location.read_bytes()
    # Its dimensions, of 0 x 0 characters.
    dimensions = struct.pack("<4i", 5, 8, 0, 0)
    assert data.count(dimensions) == 1
    location.write_bytes(data.replace(dimensions, struct.pack("<4i", 5, 8, 1, 200_000_000)))
    with pytest.raises(DataError, match="above the limit of 268435456 bytes"):
        read_mat(str(location))


def test_matrices_that_are_too_large_together_are_refused(tmp_path: Path):
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        for name in "abcde":
            # Nothing is written: they read as zeros.
            file.create_dataset(name, shape=(MAX_BYTES // 32,), dtype=np.float64)
    assert (tmp_path / "x.mat").stat().st_size < 10_000
    with pytest.raises(DataError, match="above the limit of 268435456 bytes"):
        read_mat(str(tmp_path / "x.mat"))


def test_a_cell_far_to_the_right_does_not_fill_in_all_before_it(tmp_path: Path):
    location = tmp_path / "x.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["name", "score"])
    book.active["XFD900"] = 1
    book.save(location)
    assert [len(row) for row in read_sheet(str(location))] == [100]


def test_an_excel_file_that_grows_without_end_is_refused(tmp_path: Path):
    location = tmp_path / "x.xlsx"
    with zipfile.ZipFile(location, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(MAX_BYTES + 1))
    with pytest.raises(DataError, match="above the limit of 268435456"):
        read_sheet(str(location))


def test_a_row_far_down_does_not_fill_in_all_before_it(tmp_path: Path):
    location = tmp_path / "x.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["name", "score"])
    book.save(location)
    with zipfile.ZipFile(location) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    content[sheet] = content[sheet].replace(
        b"</sheetData>", b'<row r="900000000"><c r="A900000000"><v>1</v></c></row></sheetData>'
    )
    with zipfile.ZipFile(location, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    rows = read_sheet(str(location))
    assert [row[:2] for row in rows] == [["name", "score"]]


def test_a_name_is_found_as_it_is_or_else_in_another_case(tmp_path: Path):
    for name in ("a/IMG.jpg", "a/img.jpg", "a/Other.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    tree = open_tree(str(tmp_path))
    for name in ("a/IMG.jpg", "a/img.jpg"):
        assert tree.uri(name) == str(tmp_path / name)
    assert tree.uri("A/other.jpg") == str(tmp_path / "a/Other.JPG")
    assert tree.uri("a/none.jpg") is None
    assert tree.below("A", (".jpg",)) == ["a/IMG.jpg", "a/Other.JPG", "a/img.jpg"]
