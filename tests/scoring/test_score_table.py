import csv
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankloop.errors import LockedError, StorageError
from rankloop.scoring.table import (
    Row,
    append_rows,
    as_cell,
    finish,
    keep_beginning,
    open_partial,
    partial_path,
    read_rows,
)

NAMES = [
    "plain.png",
    "with, comma.png",
    'quo"te.png',
    "line\nbreak.png",
    "carriage\rreturn.png",
    "NA",
    "null",
    "ünï/写真.png",
    "=cmd|' /C calc'!A0.png",
    "+1.png",
    "-1.png",
    "@x.png",
    "\tx.png",
    "s3://bucket/=x.png",
    "bad\udcff.png",
]


# Any characters of UTF-8 but the zero, which no file name has.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


def _write(output: Path, rows: list[Row], digest: str = "d" * 64) -> Path:
    with open_partial(output, digest) as file:
        keep_beginning(file, [row.image for row in rows])
        append_rows(file, rows)
        finish(output, digest)
    return output


def _write_in_parts(output: Path, rows: list[Row]) -> None:
    with open_partial(output, "d") as file:
        keep_beginning(file, [row.image for row in rows])
        for start in range(0, len(rows), 100):
            append_rows(file, rows[start : start + 100])


def test_rows_come_back_from_csv_and_parquet(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random(len(NAMES)).astype(np.float32)
    rows = [Row(n, float(s)) for n, s in zip(NAMES, scores, strict=True)]
    rows[3] = Row(NAMES[3], None, 'cannot decode:\n  two lines, "quoted"')
    rows[4] = Row(NAMES[4], None, "NA")
    wanted = [Row(as_cell(r.image), r.score, as_cell(" ".join(r.error.split()))) for r in rows]

    assert list(read_rows(_write(tmp_path / "a.csv", rows))) == wanted
    table = pq.read_table(_write(tmp_path / "a.parquet", rows))
    assert table.schema.names == ["image", "score", "error"]
    assert str(table.schema.field("score").type) == "float"
    assert [Row(r["image"], r["score"], r["error"] or "") for r in table.to_pylist()] == wanted
    frame = pd.read_csv(tmp_path / "a.csv", keep_default_na=False, na_values={"score": [""]})
    assert frame["image"].tolist() == [row.image for row in wanted]
    np.testing.assert_array_equal(
        frame["score"].to_numpy(np.float32),
        np.array([np.nan if r.score is None else r.score for r in rows], np.float32),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet"]


@given(TEXT)
def test_no_cell_can_be_a_formula(text: str) -> None:
    cell = as_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.removeprefix("./") == text.removeprefix("./")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_no_other_ends_of_cells_make_a_formula(tmp_path: Path, mark: str) -> None:
    row = Row(f"x{mark}=1+1.png", None, f"no,{mark}@2 of x;=1+1.png")
    path = _write(tmp_path / "a.csv", [row])
    with open(path, encoding="utf-8", newline="") as file:
        cells = [cell for cells in csv.reader(file, delimiter=mark) for cell in cells]
    assert f"x{mark}=1+1.png" in cells[1]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert next(read_rows(path)).image == row.image


# Disks may be slow.
@settings(deadline=None)
@given(st.lists(TEXT, max_size=5))
def test_any_names_survive_resuming_and_the_way_to_parquet(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    output = tmp_path_factory.mktemp("any") / "a.parquet"
    with open_partial(output, "d") as file:
        assert keep_beginning(file, names) == 0
        append_rows(file, [Row(name, 0.5) for name in names])
        assert keep_beginning(file, names) == len(names)
        finish(output, "d")
    assert pq.read_table(output)["image"].to_pylist() == [as_cell(name) for name in names]


def test_a_score_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    rows = [Row("a", float("nan")), Row("b", float("inf")), Row("c", 0.0)]
    back = list(read_rows(_write(tmp_path / "a.csv", rows)))
    assert [row.score for row in back] == [None, None, 0.0]
    assert back[0].error == "the model's score is nan"


def test_wherever_the_file_was_cut_whole_rows_remain_and_no_others(tmp_path: Path) -> None:
    images = ["a.png", "two\nlines.png", 'q"uote.png', "b.png"]
    rows = [Row(name, 0.1 * i) for i, name in enumerate(images)]
    rows[1] = Row(images[1], None, "bad, very bad")
    output = tmp_path / "a.csv"
    with open_partial(output, "d") as file:
        keep_beginning(file, images)
        ends = [file.tell()]
        for row in rows:
            append_rows(file, [row])
            ends.append(file.tell())
    whole = partial_path(output, "d").read_bytes()
    for cut in range(len(whole) + 1):
        partial_path(output, "d").write_bytes(whole[:cut])
        with open_partial(output, "d") as file:
            kept = keep_beginning(file, images)
            assert kept == max(sum(end <= cut for end in ends) - 1, 0)
            append_rows(file, rows[kept:])
        assert partial_path(output, "d").read_bytes() == whole


@pytest.mark.parametrize(
    ("images", "kept"),
    [
        (["a", "b", "c", "d"], 3),
        (["a", "b"], 2),
        (["a", "new", "b", "c"], 1),
        (["new", "a"], 0),
    ],
)
def test_rows_are_kept_up_to_the_first_other_image(
    tmp_path: Path, images: list[str], kept: int
) -> None:
    output = tmp_path / "a.csv"
    with open_partial(output, "d") as file:
        keep_beginning(file, ["a", "b", "c"])
        append_rows(file, [Row(name, 0.5) for name in "abc"])
        assert keep_beginning(file, images) == kept
        append_rows(file, [Row(name, 0.25) for name in images[kept:]])
        finish(output, "d")
    assert [row.image for row in read_rows(output)] == images


def test_what_is_no_table_of_ours_is_replaced(tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    for junk in (b"\xff\xfe\x00binary", b"image,score\na,1\n", b"\r\n\r\n"):
        partial_path(output, "d").write_bytes(junk)
        with open_partial(output, "d") as file:
            assert keep_beginning(file, ["a"]) == 0
            append_rows(file, [Row("a", 1.0)])
        assert list(read_rows(partial_path(output, "d"))) == [Row("a", 1.0)]


def test_another_model_does_not_go_on_from_these_rows(tmp_path: Path) -> None:
    assert partial_path(tmp_path / "a.csv", "1" * 64) != partial_path(tmp_path / "a.csv", "2" * 64)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    with (
        open_partial(output, "d"),
        pytest.raises(LockedError, match="another process is writing"),
        open_partial(output, "d"),
    ):
        pass
    with open_partial(output, "d"):
        pass


def test_missing_folders_are_made_and_files_in_their_place_refused(tmp_path: Path) -> None:
    _write(tmp_path / "new" / "deep" / "a.csv", [Row("x", 1.0)])
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="give another --output"):
        _write(tmp_path / "file" / "a.csv", [])


def test_a_full_disk_says_so_and_keeps_the_rows(tmp_path: Path) -> None:
    output, images = tmp_path / "a.csv", [f"image{i}.png" for i in range(1000)]
    rows = [Row(image, 0.5) for image in images]
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, unlimited[1]))
    try:
        with pytest.raises(StorageError, match=r"too large.*: it goes on from the rows"):
            _write_in_parts(output, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    with open_partial(output, "d") as file:
        kept = keep_beginning(file, images)
        assert 100 <= kept < 1000
        append_rows(file, rows[kept:])
        finish(output, "d")
    assert list(read_rows(output)) == rows


def test_the_csv_is_plain_rfc_4180(tmp_path: Path) -> None:
    output = _write(tmp_path / "a.csv", [Row("a,b.png", 0.5), Row("c.png", None, "bad")])
    lines = [b'"image","score","error"', b'"a,b.png","0.5",""', b'"c.png","","bad"', b""]
    assert output.read_bytes() == b"\r\n".join(lines)
    with open(output, newline="") as file:
        assert list(csv.reader(file))[1] == ["a,b.png", "0.5", ""]
