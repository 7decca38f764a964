"""No file stops a round, whatever became of it."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dropped_answers import SOURCE, drop, with_digests
from rankloop.active.answer_files import MAX_BYTES, MAX_ROWS
from rankloop.active.answer_folder import AnswerFolder
from rankloop.active.campaign import ANSWERS
from rankloop.active.labels import Label, answers_table
from rankloop.errors import StorageError
from rankloop.storage import Folder, write_parquet


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"image,rating\n000-0001.png,3", "no column 'score', only image, rating"),
        ("a.csv", b"name,score\n000-0001.png,3", "no column 'image', only name, score"),
        ("a.csv", b"image,score\n000-0001.png,3\n0002.p", "line 3 has 1 cells and the header 2"),
        ("a.csv", b'image,score\n"000-0001.png,3', "cannot be read"),
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"\xff\xfe\x00", "save it as UTF-8"),
        ("a.csv", b"image;score\n000-0001.png;3\n", "save it with commas between the cells"),
        ("a.parquet", b"PAR1 cut off", "cannot be read"),
        ("a.xlsx", b"x", "neither .csv nor .parquet"),
    ],
)
def test_a_file_that_is_not_whole_is_not_read_at_all(asked, name, content, reason):
    campaign, images, answers = asked
    (answers / name).write_bytes(content)
    drop(answers, "good.csv", "image,score", "000-0004.png,2")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[3]: Label(2.0)}
    ((where, why),) = found.refused
    assert where == f"{answers}/{name}"
    assert reason in why


def _repeated(rows, value):
    table = pa.table({"image": pa.array([value] * rows), "score": pa.array([""] * rows)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.parquet", lambda: _repeated(MAX_ROWS + 1, ""), "rows are above the limit of 1000000"),
        ("a.parquet", lambda: _repeated(9_000, "x" * 9_000), "MiB are above the limit of 64 MiB"),
        ("a.csv", lambda: b"image,score\n" + b",\n" * (MAX_ROWS + 1), "above the limit of 1000000"),
        ("a.csv", lambda: b"image,score\n" + b" " * MAX_BYTES, "above the limit of 67108864"),
    ],
)
def test_a_file_that_would_take_all_memory_is_refused_and_others_count(
    asked, name, content, reason
):
    campaign, images, answers = asked
    (answers / name).write_bytes(content())
    drop(answers, "good.csv", "image,score", "000-0004.png,2")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[3]: Label(2.0)}
    ((where, why),) = found.refused
    assert where == f"{answers}/{name}"
    assert reason in why
    assert "split it" in why


def test_a_file_that_is_being_written_is_left_for_the_next_time(asked):
    campaign, images, answers = asked
    drop(answers, "anna.csv", "image,score", "000-0001.png,3", "")
    drop(answers, ".hidden.csv", "image,score", "000-0001.png,7")
    patient = AnswerFolder(settled_seconds=60.0)
    found = patient.answers(campaign, 0, images)
    assert not found.labels
    ((where, why),) = found.refused
    assert where == f"{answers}/anna.csv"
    assert "it is being written" in why
    ahead = time.time() + 3600
    os.utime(answers / "anna.csv", (ahead, ahead))
    assert not patient.answers(campaign, 0, images).labels
    earlier = time.time() - 61
    os.utime(answers / "anna.csv", (earlier, earlier))
    assert patient.answers(campaign, 0, images).labels == {images[0]: Label(3.0)}


def test_a_copy_of_a_file_is_no_second_annotator(asked):
    campaign, images, answers = asked
    for name in ("form.csv", "form (1).csv"):
        drop(answers, name, "image,score", "000-0001.png,1")
    drop(answers, "ben.csv", "image,score", "000-0001.png,4")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels[images[0]].score == 2.5
    # It may be the same answer of somebody else, so that it is said.
    ((_, why),) = found.refused
    assert "and taken for a copy" in why
    assert "fill in the column annotator" in why


def test_annotators_who_agree_say_who_they_are(asked):
    campaign, images, answers = asked
    for who in ("anna", "ben"):
        drop(answers, f"{who}.csv", "image,score,annotator", f"000-0001.png,1,{who}")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels[images[0]] == Label(1.0, 0.0, 2)
    assert not found.refused


def test_a_file_that_moves_after_it_was_taken_in_is_still_the_same(asked):
    campaign, images, answers = asked
    drop(answers, "form.csv", "image,score", "000-0001.png,1", "000-0002.png,4")
    found = SOURCE.answers(campaign, 0, images)
    write_parquet(campaign.cycle(0), ANSWERS, answers_table(found.single))
    (answers / "form.csv").rename(answers / "anna.csv")
    SOURCE.ask(campaign, 1, sorted(campaign.items)[4:6])
    later = Path(SOURCE.where(campaign, 1))
    (later / "form-2.csv").write_bytes((answers / "anna.csv").read_bytes())
    assert SOURCE.answers(campaign, 1, []).labels == found.labels
    # A correction counts, and an older file that is touched afterwards does not take it back.
    drop(answers, "form.csv", "image,score", "000-0001.png,7")
    corrected = SOURCE.answers(campaign, 1, [])
    assert corrected.labels == {images[0]: Label(7.0), images[1]: Label(4.0)}
    write_parquet(campaign.cycle(1), ANSWERS, answers_table(corrected.single))
    ahead = time.time() + 50
    os.utime(answers / "anna.csv", (ahead, ahead))
    assert SOURCE.answers(campaign, 2, []).labels == corrected.labels


def test_the_newest_answer_counts_in_whichever_folder_it_is(asked):
    campaign, images, answers = asked
    SOURCE.ask(campaign, 1, sorted(campaign.items)[4:6])
    later = Path(SOURCE.where(campaign, 1))
    drop(later, "a.csv", "image,score,annotator", "000-0001.png,9,anna")
    drop(answers, "b.csv", "image,score,annotator", "000-0001.png,2,anna")
    for folder, name, age in ((later, "a.csv", 90), (answers, "b.csv", 30)):
        os.utime(folder / name, (time.time() - age, time.time() - age))
    assert SOURCE.answers(campaign, 1, []).labels == {images[0]: Label(2.0)}


def test_no_file_stops_a_round(asked):
    campaign, images, answers = asked
    # Too late for a date of Python's.
    dates = pa.array([2**50] * 2, pa.timestamp("ms"))
    names = [with_digests(answers, name) for name in ("000-0001.png", "000-0002.png")]
    table = pa.table({"image": names, "score": [4.0, 5.0], "date": dates})
    pq.write_table(table, answers / "dates.parquet")
    huge = pa.table({"image": names[:1], "score": ["9" * 400]})
    pq.write_table(huge, answers / "huge.parquet")
    (answers / "gone.csv").symlink_to(answers / "nowhere.csv")
    (answers / "folder.csv").mkdir()
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[0]: Label(4.0), images[1]: Label(5.0)}
    assert [where.rpartition("/")[2] for where, _ in found.refused] == ["huge.parquet, line 1"]


def test_a_link_is_not_followed(asked, tmp_path):
    campaign, images, answers = asked
    private = tmp_path / "private.txt"
    private.write_text("very private\n")
    (answers / "a.csv").symlink_to(private)
    found = SOURCE.answers(campaign, 0, images)
    ((where, why),) = found.refused
    assert where == f"{answers}/a.csv"
    assert "it is a link" in why
    assert "private" not in why


def test_a_file_that_vanishes_while_it_is_read_is_listed(asked, monkeypatch):
    campaign, images, answers = asked
    drop(answers, "a.csv", "image,score", "000-0001.png,3")
    drop(answers, "b.csv", "image,score", "000-0002.png,3.5")
    read = Folder.read_bytes

    def gone(self: Folder, name: str) -> bytes:
        if name == "a.csv":
            raise StorageError("cannot read a.csv")
        return read(self, name)

    monkeypatch.setattr(Folder, "read_bytes", gone)
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[1]: Label(3.5)}
    assert found.refused == [(f"{answers}/a.csv", "cannot read a.csv")]


def test_a_last_line_without_an_end_waits(asked):
    campaign, images, answers = asked
    drop(answers, "a.csv", "image,score", "000-0001.png,4")
    earlier = time.time() - 60
    os.utime(answers / "a.csv", (earlier, earlier))
    patient = AnswerFolder(settled_seconds=5.0)
    found = patient.answers(campaign, 0, images)
    assert not found.labels
    ((_, why),) = found.refused
    assert "its last line has no end" in why
    earlier -= 600
    os.utime(answers / "a.csv", (earlier, earlier))
    assert patient.answers(campaign, 0, images).labels == {images[0]: Label(4.0)}


def test_damaged_parquet_files_are_refused(asked):
    campaign, images, answers = asked
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"image": [with_digests(answers, "000-0001.png")] * 50, "score": [3.0] * 50}),
        buffer,
    )
    whole = buffer.getvalue()
    for seed in range(40):
        damaged = bytearray(whole)
        place = int(np.random.default_rng(seed).integers(4, len(damaged) - 8))
        damaged[place] ^= 0xFF
        (answers / "a.parquet").write_bytes(bytes(damaged))
        found = SOURCE.answers(campaign, 0, images)
        assert len(found.labels) + len(found.missing) == 4
