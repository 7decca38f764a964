"""Small Parquet files that would take much memory are refused; others are read as written."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankloop.parquet import read_within


def _file(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", **options)
    return buffer.getvalue()


def _times(value, rows, kind=None):
    return pa.array([value] * rows, kind)


def test_what_is_written_is_read_back():
    kind = pa.dictionary(pa.int32(), pa.string())
    table = pa.table(
        {
            "text": ["a", None, "é"] * 5,
            "more": pa.array(["a", "b", None] * 5, pa.large_string()),
            "bytes": [b"a", b"\0", None] * 5,
            "kind": pa.array(["x", "y", "x"] * 5).dictionary_encode(),
            "numbers": np.arange(15.0),
            "lists": [[1.0, 2.0], [], None] * 5,
            "names": [["a"], ["b", "c"], None] * 5,
            "more names": pa.array([["a"], [], None] * 5, pa.large_list(pa.large_string())),
            "kinds": pa.array([["a"], [], None] * 5, pa.list_(kind)),
            "structs": [{"a": "b", "c": [["d"]], "e": 1}, {"a": None}, None] * 5,
            "maps": pa.array([[("a", "b")], [], None] * 5, pa.map_(pa.string(), pa.string())),
            "digests": pa.array([b"abc", b"def", None] * 5, pa.binary(3)),
            "decimals": pa.array([1, 2, None] * 5, pa.decimal128(30, 2)),
            "views": pa.array(["a", "b", None] * 5, pa.string_view()),
        }
    )
    assert read_within(_file(table)).equals(table)
    some = read_within(_file(table), columns=["numbers", "text"])
    assert some.equals(table.select(["numbers", "text"]))


# Stored once, as the value of 10,000 rows.
_TEXT = pa.DictionaryArray.from_arrays(np.zeros(10_000, np.int32), pa.array(["x" * 10_000]))


@pytest.mark.parametrize(
    "column",
    [
        _times("x" * 10_000, 10_000),
        _times(b"x" * 10_000, 10_000, pa.large_binary()),
        _times("x" * 10_000, 10_000).dictionary_encode(),
        _times([0.0] * 1_000, 10_000),
        pa.array([bytes(50_000_000)]),
        pa.ListArray.from_arrays([0, 10_000], _TEXT),
        pa.LargeListArray.from_arrays([0, 10_000], _TEXT),
        pa.ListArray.from_arrays([0, 1], pa.ListArray.from_arrays([0, 10_000], _TEXT)),
        pa.StructArray.from_arrays([_TEXT], ["a"]),
        pa.ListArray.from_arrays([0, 10_000], pa.StructArray.from_arrays([_TEXT], ["a"])),
        pa.MapArray.from_arrays([0, 10_000], range(10_000), _TEXT),
        _times(b"x" * 10_000, 10_000, pa.binary(10_000)),
        pa.ListArray.from_arrays([0, 10_000], _times(b"x" * 10_000, 10_000, pa.binary(10_000))),
    ],
)
@pytest.mark.parametrize("noted", [True, False])
def test_what_takes_little_room_only_in_the_file_is_refused(column, noted):
    data = _file(pa.table({"x": column, "y": range(len(column))}), store_schema=noted)
    assert len(data) < 100_000
    with pytest.raises(ValueError, match=r"its \d+ MiB are above the limit of 16 MiB: split it"):
        read_within(data, max_bytes=16 * 2**20)
    assert read_within(data, columns=["y"], max_bytes=16 * 2**20).num_rows == len(column)


def test_only_columns_that_hold_text_are_read_twice(monkeypatch):
    table = pa.table(
        {
            "numbers": [[1.0, 2.0]] * 3,
            "names": [["a"]] * 3,
            "more": [{"a": 1, "b": "c"}] * 3,
            "digests": _times(b"abc", 3, pa.binary(3)),
        }
    )
    asked = []

    class Noting(pq.ParquetFile):
        def read(self, columns):
            asked.append(columns)
            return super().read(columns=columns)

    monkeypatch.setattr(pq, "ParquetFile", Noting)
    assert read_within(_file(table)).equals(table)
    assert asked == [["names", "more"], table.column_names]
    asked.clear()
    numbers = table.select(["numbers", "digests"])
    assert read_within(_file(numbers)).equals(numbers)
    assert asked == [["numbers", "digests"]]


def test_rows_are_counted():
    data = _file(pa.table({"x": _times("", 1_001)}))
    with pytest.raises(ValueError, match="its 1001 rows are above the limit of 1000: split it"):
        read_within(data, max_rows=1_000)
    assert read_within(data, max_rows=1_001).num_rows == 1_001
