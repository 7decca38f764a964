"""People drop files: nothing that is right is lost, and nothing that is wrong is used."""

import csv
import io
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankloop.active.answer_folder import AnswerFolder
from rankloop.active.campaign import ANSWERS, DONE, LABELS, SELECTED, Campaign
from rankloop.active.cycle import waits_for
from rankloop.active.labels import Label, answers_table, labels_table
from rankloop.active.report import round_report
from rankloop.errors import DataError, StorageError
from rankloop.images import decode
from rankloop.storage import Folder, write_parquet

SOURCE = AnswerFolder(settled_seconds=0.0)


@pytest.fixture
def asked(make_campaign) -> tuple[Campaign, list[str], Path]:
    campaign = make_campaign(labelling="folder")
    images = sorted(campaign.items)[:4]
    campaign.cycle(0).write_json(SELECTED, {"items": images})
    SOURCE.ask(campaign, 0, images)
    return campaign, images, Path(SOURCE.where(campaign, 0))


def _real(folder: Path, text: str) -> str:
    """Put in the digests that names such as 000-0001.png have in their requests."""
    for request in folder.parents[2].glob("cycle-*/request/request.json"):
        for file in json.loads(request.read_text())["files"]:
            text = text.replace(f"{file[:8]}.png", file)
    return text


def _drop(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text(_real(folder, "\n".join(lines)))


def test_a_request_is_images_a_form_and_instructions(asked):
    campaign, images, answers = asked
    request = answers.parent
    rows = list(csv.DictReader(io.StringIO((request / "form.csv").read_text())))
    assert [row["image"][:9] for row in rows] == [f"000-000{i}-" for i in (1, 2, 3, 4)]
    assert [row["name"] for row in rows] == images
    assert {row["score"] for row in rows} == {""}
    load = campaign.data({}).load
    for row in rows:
        shown = decode((request / "images" / row["image"]).read_bytes())
        np.testing.assert_array_equal(shown, load(campaign.items[row["name"]].rows[0]))
    text = " ".join((request / "instructions.txt").read_text().split())
    assert "4 images" in text
    assert "higher is better; known ones are from 0 to 9" in text
    before = {path: path.stat().st_mtime_ns for path in request.rglob("*")}
    SOURCE.ask(campaign, 0, images)
    assert {path: path.stat().st_mtime_ns for path in request.rglob("*")} == before


def test_a_filled_form_labels_its_images_by_file_or_by_name(asked):
    campaign, images, answers = asked
    _drop(answers, "anna.csv", "image,score", "000-0001.png,3.5", f"{images[1]},4", "000-0003.png,")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[0]: Label(3.5), images[1]: Label(4.0)}
    assert list(found.missing) == images[2:]
    assert not found.refused


def test_several_annotators_give_mean_and_spread_whatever_the_format(asked):
    campaign, images, answers = asked
    _drop(answers, "anna.csv", "score,image", "1,000-0001.png", "5,000-0002.png")
    _drop(answers, "all.csv", "image,score,annotator", "000-0001.png,2,ben", "000-0001.png,6,cy")
    names = [_real(answers, name) for name in ("000-0001.png", "000-0002.png")]
    table = pa.table({"image": names, "score": [4.0, 5.0]})
    pq.write_table(table, answers / "dora.parquet")
    found = SOURCE.answers(campaign, 0, images)
    scores = [1.0, 2.0, 6.0, 4.0]
    label = found.labels[images[0]]
    assert label.annotators == 4
    assert label.score == pytest.approx(np.mean(scores))
    assert label.spread == pytest.approx(statistics.stdev(scores))
    assert found.labels[images[1]] == Label(5.0, 0.0, 2)
    assert [image for image, _ in found.disagreements] == [images[0]]


def test_the_same_label_twice_changes_nothing_and_a_newer_one_counts(asked):
    campaign, images, answers = asked
    _drop(answers, "a.csv", "image,score,annotator", "000-0001.png,3,anna", "000-0001.png,3,anna")
    once = SOURCE.answers(campaign, 0, images).labels
    assert once == {images[0]: Label(3.0)}
    _drop(answers, "b.csv", "image,score,annotator", "000-0001.png,3,anna")
    assert SOURCE.answers(campaign, 0, images).labels == once
    _drop(answers, "c.csv", "image,score,annotator", "000-0001.png,5,anna")
    later = time.time() + 5
    os.utime(answers / "c.csv", (later, later))
    # From the future: never mistaken for one that is being written.
    assert SOURCE.answers(campaign, 0, images).labels == {images[0]: Label(5.0)}


def test_what_cannot_be_a_label_is_refused_with_its_place(asked):
    campaign, images, answers = asked
    _drop(
        answers,
        "anna.csv",
        "image,score",
        "000-0001.png,3",
        "000-0009.png,3",
        "nobody.png,1",
        "000-0002.png,very good",
        "000-0003.png,nan",
        "000-0004.png,inf",
    )
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[0]: Label(3.0)}
    assert {where.rpartition("/")[2]: why for where, why in found.refused} == {
        "anna.csv, line 3": "image '000-0009.png' was not asked about",
        "anna.csv, line 4": "image 'nobody.png' was not asked about",
        "anna.csv, line 5": "score 'very good' is not a number",
        "anna.csv, line 6": "score 'nan' is not a number",
        "anna.csv, line 7": "score 'inf' is not a number",
    }


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
    _drop(answers, "good.csv", "image,score", "000-0004.png,2")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[3]: Label(2.0)}
    ((where, why),) = found.refused
    assert where == f"{answers}/{name}"
    assert reason in why


def test_a_file_that_is_being_written_is_left_for_the_next_time(asked):
    campaign, images, answers = asked
    _drop(answers, "anna.csv", "image,score", "000-0001.png,3", "")
    _drop(answers, ".hidden.csv", "image,score", "000-0001.png,7")
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


def test_late_labels_count_in_the_next_round(asked):
    campaign, images, answers = asked
    write_parquet(campaign.cycle(0), LABELS, labels_table({images[0]: Label(3.0)}))
    campaign.cycle(0).write_json(DONE, {"not_shown": []})
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    campaign.cycle(1).write_json(SELECTED, {"items": others})
    _drop(answers, "late.csv", "image,score", "000-0002.png,6")
    found = SOURCE.answers(campaign, 1, others)
    assert found.labels == {images[1]: Label(6.0)}
    assert list(found.missing) == others


def test_names_cannot_be_formulas_for_a_spreadsheet(make_campaign, scored):
    rows = scored.images.to_pylist()
    (row,) = [r for r in rows if r["image"] == "40.png"]
    row["image"] = "=HYPERLINK(1)"
    dataset = replace(scored, images=scored.images.from_pylist(rows, scored.images.schema))
    campaign = make_campaign(dataset=dataset, labelling="folder")
    SOURCE.ask(campaign, 0, ["=HYPERLINK(1)"])
    form = (Path(SOURCE.where(campaign, 0)).parent / "form.csv").read_text()
    assert "'=HYPERLINK(1)" in form
    assert "\n=" not in form
    assert ",=" not in form


def test_answers_that_were_taken_in_stay_whatever_becomes_of_their_file(asked):
    campaign, images, answers = asked
    _drop(answers, "anna.csv", "image,score", "000-0001.png,1")
    found = SOURCE.answers(campaign, 0, images)
    write_parquet(campaign.cycle(0), ANSWERS, answers_table(found.single))
    (answers / "anna.csv").write_bytes(b"image,score\n000-0001.pn")
    _drop(answers, "ben.csv", "image,score", "000-0001.png,5")
    found = SOURCE.answers(campaign, 1, [])
    assert found.labels[images[0]].score == 3.0
    assert found.labels[images[0]].annotators == 2
    _drop(answers, "anna.csv", "image,score", "000-0001.png,3")
    assert SOURCE.answers(campaign, 1, []).labels[images[0]].score == 4.0


def test_a_form_in_another_requests_folder_labels_its_own_images(asked):
    campaign, images, answers = asked
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    _drop(answers, "b.csv", "image,score,name", f"001-0002.png,6,{others[1]}")
    found = SOURCE.answers(campaign, 1, others)
    assert found.labels == {others[1]: Label(6.0)}
    _drop(answers, "c.csv", "image,score,name", f"001-0001.png,6,{images[0]}")
    found = SOURCE.answers(campaign, 1, others)
    assert found.labels == {others[1]: Label(6.0)}
    ((where, why),) = found.refused
    assert where == f"{answers}/c.csv, line 2"
    assert why == _real(answers, f"001-0001.png is {others[0]!r}, not {images[0]!r}")


def test_a_copy_of_a_file_is_no_second_annotator(asked):
    campaign, images, answers = asked
    for name in ("form.csv", "form (1).csv"):
        _drop(answers, name, "image,score", "000-0001.png,1")
    _drop(answers, "ben.csv", "image,score", "000-0001.png,4")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels[images[0]].score == 2.5
    # It may be the same answer of somebody else, so that it is said.
    ((_, why),) = found.refused
    assert "and taken for a copy" in why
    assert "fill in the column annotator" in why


def test_annotators_who_agree_say_who_they_are(asked):
    campaign, images, answers = asked
    for who in ("anna", "ben"):
        _drop(answers, f"{who}.csv", "image,score,annotator", f"000-0001.png,1,{who}")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels[images[0]] == Label(1.0, 0.0, 2)
    assert not found.refused


def test_a_file_that_moves_after_it_was_taken_in_is_still_the_same(asked):
    campaign, images, answers = asked
    _drop(answers, "form.csv", "image,score", "000-0001.png,1", "000-0002.png,4")
    found = SOURCE.answers(campaign, 0, images)
    write_parquet(campaign.cycle(0), ANSWERS, answers_table(found.single))
    (answers / "form.csv").rename(answers / "anna.csv")
    SOURCE.ask(campaign, 1, sorted(campaign.items)[4:6])
    later = Path(SOURCE.where(campaign, 1))
    (later / "form-2.csv").write_bytes((answers / "anna.csv").read_bytes())
    assert SOURCE.answers(campaign, 1, []).labels == found.labels
    # A correction counts, and an older file that is touched afterwards does not take it back.
    _drop(answers, "form.csv", "image,score", "000-0001.png,7")
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
    _drop(later, "a.csv", "image,score,annotator", "000-0001.png,9,anna")
    _drop(answers, "b.csv", "image,score,annotator", "000-0001.png,2,anna")
    for folder, name, age in ((later, "a.csv", 90), (answers, "b.csv", 30)):
        os.utime(folder / name, (time.time() - age, time.time() - age))
    assert SOURCE.answers(campaign, 1, []).labels == {images[0]: Label(2.0)}


def test_scores_outside_the_known_ones_are_listed_and_far_off_ones_refused(asked):
    # Known ones are from 0 to 9.
    campaign, images, answers = asked
    _drop(answers, "a.csv", "image,score", "000-0001.png,12", "000-0002.png,999", "000-0003.png,9")
    _drop(answers, "b.csv", "image,score", "000-0002.png,-9", "000-0003.png,-9.5")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {
        images[0]: Label(12.0),
        images[1]: Label(-9.0),
        images[2]: Label(9.0),
    }
    assert [(where.rpartition("/")[2], why) for where, why in found.refused] == [
        ("a.csv, line 3", "score 999 is far outside the known ones, 0 to 9: correct it"),
        ("b.csv, line 3", "score -9.5 is far outside the known ones, 0 to 9: correct it"),
    ]
    assert [(where.rpartition("/")[2], why) for where, why in found.unusual] == [
        ("a.csv, line 2", "score 12 is outside the known ones, 0 to 9; it counts"),
        ("b.csv, line 2", "score -9 is outside the known ones, 0 to 9; it counts"),
    ]


def test_a_round_tells_what_is_missing_and_only_what_is_new(asked):
    campaign, images, answers = asked
    _drop(answers, "a.csv", "image,score", "000-0001.png,3", "nobody.png,3", "000-0002.png,x")
    _drop(answers, "b.csv", "image,score", "000-0001.png,7")
    told = round_report(campaign, SOURCE.answers(campaign, 0, images), SOURCE)
    assert f"1 of 4 labels are there; put answers to {answers}" in told
    assert f"missing: {', '.join(images[1:])}" in told
    assert "2 answers cannot be used:\n  cycle-000/request/answers/a.csv, line 3: image" in told
    assert f"{images[0]}: 2.83" in told
    found = SOURCE.answers(campaign, 0, images)
    lists = {"refused": found.refused, "disagreements": found.disagreements}
    campaign.cycle(0).write_json(DONE, {"not_shown": [], "unusual": [], **lists})
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    _drop(answers, "c.csv", "image,score", "else.png,3")
    told = round_report(campaign, SOURCE.answers(campaign, 1, others), SOURCE)
    assert "1 answers cannot be used:\n  cycle-000/request/answers/c.csv, line 2: image" in told
    assert "disagree" not in told


def test_a_round_that_waits_is_known_by_files_alone(asked):
    campaign, images, answers = asked
    found = waits_for(campaign, SOURCE, 1.0)
    assert found is not None
    assert list(found.missing) == images
    _drop(answers, "a.csv", "image,score", "000-0001.png,3", "000-0002.png,4")
    assert waits_for(campaign, SOURCE, 1.0) is not None
    assert waits_for(campaign, SOURCE, 0.5) is None
    assert waits_for(campaign, AnswerFolder(settled_seconds=60.0), 0.5) is not None
    write_parquet(campaign.cycle(0), LABELS, labels_table({}))
    assert waits_for(campaign, SOURCE, 1.0) is None


def test_no_file_stops_a_round(asked):
    campaign, images, answers = asked
    # Too late for a date of Python's.
    dates = pa.array([2**50] * 2, pa.timestamp("ms"))
    names = [_real(answers, name) for name in ("000-0001.png", "000-0002.png")]
    table = pa.table({"image": names, "score": [4.0, 5.0], "date": dates})
    pq.write_table(table, answers / "dates.parquet")
    huge = pa.table({"image": names[:1], "score": ["9" * 400]})
    pq.write_table(huge, answers / "huge.parquet")
    (answers / "gone.csv").symlink_to(answers / "nowhere.csv")
    (answers / "folder.csv").mkdir()
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[0]: Label(4.0), images[1]: Label(5.0)}
    assert [where.rpartition("/")[2] for where, _ in found.refused] == ["huge.parquet, line 1"]


def test_a_file_that_vanishes_while_it_is_read_is_listed(asked, monkeypatch):
    campaign, images, answers = asked
    _drop(answers, "a.csv", "image,score", "000-0001.png,3")
    _drop(answers, "b.csv", "image,score", "000-0002.png,3.5")
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
    _drop(answers, "a.csv", "image,score", "000-0001.png,4")
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


def test_names_with_blanks_at_their_ends_are_labelled(make_campaign, scored):
    rows = scored.images.to_pylist()
    (row,) = [r for r in rows if r["image"] == "40.png"]
    row["image"] = " 40.png "
    dataset = replace(scored, images=scored.images.from_pylist(rows, scored.images.schema))
    campaign = make_campaign(dataset=dataset, labelling="folder")
    SOURCE.ask(campaign, 0, [" 40.png "])
    answers = Path(SOURCE.where(campaign, 0))
    form = (answers.parent / "form.csv").read_text()
    (answers / "a.csv").write_text(form.replace(".png,,,", ".png,3,,", 1))
    (answers / "b.csv").write_text("image,score\n 40.png ,5")
    found = SOURCE.answers(campaign, 0, [" 40.png "])
    assert not found.refused
    assert found.labels[" 40.png "].score == 4.0


def test_a_request_of_which_nothing_can_be_shown_is_none(make_campaign, photos_away):
    campaign = make_campaign(labelling="folder")
    images = sorted(campaign.items)[:2]
    shown = pytest.raises(DataError, match="none of the 2 images to ask about can be shown")
    with photos_away(), shown:
        SOURCE.ask(campaign, 0, images)
    SOURCE.ask(campaign, 0, images)
    assert list(SOURCE.answers(campaign, 0, images).asked) == images


def test_damaged_parquet_files_are_refused(asked):
    campaign, images, answers = asked
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"image": [_real(answers, "000-0001.png")] * 50, "score": [3.0] * 50}), buffer
    )
    whole = buffer.getvalue()
    for seed in range(40):
        damaged = bytearray(whole)
        place = int(np.random.default_rng(seed).integers(4, len(damaged) - 8))
        damaged[place] ^= 0xFF
        (answers / "a.parquet").write_bytes(bytes(damaged))
        found = SOURCE.answers(campaign, 0, images)
        assert len(found.labels) + len(found.missing) == 4


def test_an_image_that_is_gone_is_not_waited_for(make_campaign, scored_photos):
    campaign = make_campaign(labelling="folder")
    images = sorted(campaign.items)[:2]
    original = (scored_photos / images[0]).read_bytes()
    try:
        (scored_photos / images[0]).unlink()
        SOURCE.ask(campaign, 0, images)
    finally:
        (scored_photos / images[0]).write_bytes(original)
    answers = Path(SOURCE.where(campaign, 0))
    _drop(answers, "a.csv", "image,score", "000-0002.png,3")
    found = SOURCE.answers(campaign, 0, images)
    assert (list(found.asked), list(found.missing)) == ([images[1]], [])
    assert found.labels == {images[1]: Label(3.0)}


def test_an_answer_to_what_is_not_asked_yet_never_counts(asked):
    campaign, _, answers = asked
    _drop(answers, "early.csv", "image,score", "001-0001.png,7")
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    found = SOURCE.answers(campaign, 1, others)
    assert not found.labels
    assert [why for _, why in found.refused] == ["image '001-0001.png' was not asked about"]
