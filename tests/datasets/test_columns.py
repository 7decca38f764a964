from collections.abc import Callable
from pathlib import Path

import pytest

from rankloop.datasets.columns import read_columns
from rankloop.errors import DataError


def test_cells_are_named_and_stripped(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes('\ufeffimage, score\r\n"a,b.jpg", 3\r\n\r\nc.jpg,4\r\n'.encode())
    table = read_columns(str(path))
    assert list(table.names) == ["image", "score"]
    assert [row.cells for row in table.rows] == [
        {"image": "a,b.jpg", "score": "3"},
        {"image": "c.jpg", "score": "4"},
    ]
    assert table.rows[1].where.endswith("x.csv, line 4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("image,score\n", "has no rows"),
        ("image,image\na,b\n", "two columns named 'image'"),
        ("image,score\na,1\nb\n", "line 3: 1 cells, but the header names 2"),
        ('image,score\n"a,1\n', "line 2: .*correct this line"),
    ],
)
def test_malformed_files(
    tmp_path: Path, write_csv: Callable[[Path, str], str], text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_columns(write_csv(tmp_path / "x.csv", text))


def test_missing_column_names_the_nearest(
    tmp_path: Path, write_csv: Callable[[Path, str], str]
) -> None:
    table = read_columns(write_csv(tmp_path / "x.csv", "image,scores\na,1\n"))
    with pytest.raises(
        DataError, match=r"no column 'score' \(the nearest is 'scores'\).*: do this"
    ):
        table.require("score", "do this")
