"""People drop files: nothing that is right is lost, and nothing that is wrong is used."""

import csv
import io
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dropped_answers import SOURCE, drop, with_digests
from rankloop.active.answer_folder import AnswerFolder
from rankloop.active.answer_notes import answer_notes
from rankloop.active.campaign import ANSWERS, DONE, LABELS, SELECTED
from rankloop.active.cycle import waits_for
from rankloop.active.labels import Label, answers_table, labels_table
from rankloop.active.report import round_report
from rankloop.errors import DataError
from rankloop.images import decode
from rankloop.storage import write_parquet


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
    drop(answers, "anna.csv", "image,score", "000-0001.png,3.5", f"{images[1]},4", "000-0003.png,")
    found = SOURCE.answers(campaign, 0, images)
    assert found.labels == {images[0]: Label(3.5), images[1]: Label(4.0)}
    assert list(found.missing) == images[2:]
    assert not found.refused


def test_several_annotators_give_mean_and_spread_whatever_the_format(asked):
    campaign, images, answers = asked
    drop(answers, "anna.csv", "score,image", "1,000-0001.png", "5,000-0002.png")
    drop(answers, "all.csv", "image,score,annotator", "000-0001.png,2,ben", "000-0001.png,6,cy")
    names = [with_digests(answers, name) for name in ("000-0001.png", "000-0002.png")]
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
    drop(answers, "a.csv", "image,score,annotator", "000-0001.png,3,anna", "000-0001.png,3,anna")
    once = SOURCE.answers(campaign, 0, images).labels
    assert once == {images[0]: Label(3.0)}
    drop(answers, "b.csv", "image,score,annotator", "000-0001.png,3,anna")
    assert SOURCE.answers(campaign, 0, images).labels == once
    drop(answers, "c.csv", "image,score,annotator", "000-0001.png,5,anna")
    later = time.time() + 5
    os.utime(answers / "c.csv", (later, later))
    # From the future: never mistaken for one that is being written.
    assert SOURCE.answers(campaign, 0, images).labels == {images[0]: Label(5.0)}


def test_what_cannot_be_a_label_is_refused_with_its_place(asked):
    campaign, images, answers = asked
    drop(
        answers,
        "anna.csv",
        "image,score",
        "000-0001.png,3",
        "000-0009.png,3",
        "nobody.png,1",
        "000-0002.png,very good",
        "000-0003.png,nan",
        "000-0004.png,inf",
        "nobody.png,very bad",
    )
    found = SOURCE.answers(campaign, 0, images)
    assert len({where for where, _ in found.refused}) == len(found.refused) == 6
    assert found.labels == {images[0]: Label(3.0)}
    assert {where.rpartition("/")[2]: why for where, why in found.refused} == {
        "anna.csv, line 3": "image '000-0009.png' was not asked about",
        "anna.csv, line 4": "image 'nobody.png' was not asked about",
        "anna.csv, line 5": "score 'very good' is not a number",
        "anna.csv, line 6": "score 'nan' is not a number",
        "anna.csv, line 7": "score 'inf' is not a number",
        "anna.csv, line 8": "score 'very bad' is not a number",
    }


def test_late_labels_count_in_the_next_round(asked):
    campaign, images, answers = asked
    write_parquet(campaign.cycle(0), LABELS, labels_table({images[0]: Label(3.0)}))
    campaign.cycle(0).write_json(DONE, {"not_shown": []})
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    campaign.cycle(1).write_json(SELECTED, {"items": others})
    drop(answers, "late.csv", "image,score", "000-0002.png,6")
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
    drop(answers, "anna.csv", "image,score", "000-0001.png,1")
    found = SOURCE.answers(campaign, 0, images)
    write_parquet(campaign.cycle(0), ANSWERS, answers_table(found.single))
    (answers / "anna.csv").write_bytes(b"image,score\n000-0001.pn")
    drop(answers, "ben.csv", "image,score", "000-0001.png,5")
    found = SOURCE.answers(campaign, 1, [])
    assert found.labels[images[0]].score == 3.0
    assert found.labels[images[0]].annotators == 2
    drop(answers, "anna.csv", "image,score", "000-0001.png,3")
    assert SOURCE.answers(campaign, 1, []).labels[images[0]].score == 4.0


def test_a_form_in_another_requests_folder_labels_its_own_images(asked):
    campaign, images, answers = asked
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    drop(answers, "b.csv", "image,score,name", f"001-0002.png,6,{others[1]}")
    found = SOURCE.answers(campaign, 1, others)
    assert found.labels == {others[1]: Label(6.0)}
    drop(answers, "c.csv", "image,score,name", f"001-0001.png,6,{images[0]}")
    found = SOURCE.answers(campaign, 1, others)
    assert found.labels == {others[1]: Label(6.0)}
    ((where, why),) = found.refused
    assert where == f"{answers}/c.csv, line 2"
    assert why == with_digests(answers, f"001-0001.png is {others[0]!r}, not {images[0]!r}")


def test_scores_outside_the_known_ones_are_listed_and_far_off_ones_refused(asked):
    # Known ones are from 0 to 9.
    campaign, images, answers = asked
    drop(answers, "a.csv", "image,score", "000-0001.png,12", "000-0002.png,999", "000-0003.png,9")
    drop(answers, "b.csv", "image,score", "000-0002.png,-9", "000-0003.png,-9.5")
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
    drop(answers, "a.csv", "image,score", "000-0001.png,3", "nobody.png,3", "000-0002.png,x")
    drop(answers, "b.csv", "image,score", "000-0001.png,7")
    told = round_report(campaign, SOURCE.answers(campaign, 0, images), SOURCE)
    assert f"1 of 4 labels are there; put answers to {answers}" in told
    assert f"missing: {', '.join(images[1:])}" in told
    assert "2 answers cannot be used:\n  cycle-000/request/answers/a.csv, line 3: image" in told
    assert f"{images[0]}: 2.83" in told
    # A round that has enough says so, too, when it takes the answers in.
    assert "\n".join(answer_notes(campaign, SOURCE.answers(campaign, 0, images))) in told
    found = SOURCE.answers(campaign, 0, images)
    lists = {"refused": found.refused, "disagreements": found.disagreements}
    campaign.cycle(0).write_json(DONE, {"not_shown": [], "unusual": [], **lists})
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    drop(answers, "c.csv", "image,score", "else.png,3")
    told = round_report(campaign, SOURCE.answers(campaign, 1, others), SOURCE)
    assert "1 answers cannot be used:\n  cycle-000/request/answers/c.csv, line 2: image" in told
    assert "disagree" not in told


def test_a_round_that_waits_is_known_by_files_alone(asked):
    campaign, images, answers = asked
    found = waits_for(campaign, SOURCE, 1.0)
    assert found is not None
    assert list(found.missing) == images
    drop(answers, "a.csv", "image,score", "000-0001.png,3", "000-0002.png,4")
    assert waits_for(campaign, SOURCE, 1.0) is not None
    assert waits_for(campaign, SOURCE, 0.5) is None
    assert waits_for(campaign, AnswerFolder(settled_seconds=60.0), 0.5) is not None
    write_parquet(campaign.cycle(0), LABELS, labels_table({}))
    assert waits_for(campaign, SOURCE, 1.0) is None


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


def test_an_image_that_is_gone_is_not_waited_for(make_campaign, photos_away):
    campaign = make_campaign(labelling="folder")
    images = sorted(campaign.items)[:2]
    with photos_away(images[0]):
        SOURCE.ask(campaign, 0, images)
    answers = Path(SOURCE.where(campaign, 0))
    drop(answers, "a.csv", "image,score", "000-0002.png,3")
    found = SOURCE.answers(campaign, 0, images)
    assert (list(found.asked), list(found.missing)) == ([images[1]], [])
    assert found.labels == {images[1]: Label(3.0)}


def test_an_answer_to_what_is_not_asked_yet_never_counts(asked):
    campaign, _, answers = asked
    drop(answers, "early.csv", "image,score", "001-0001.png,7")
    others = sorted(campaign.items)[4:6]
    SOURCE.ask(campaign, 1, others)
    found = SOURCE.answers(campaign, 1, others)
    assert not found.labels
    assert [why for _, why in found.refused] == ["image '001-0001.png' was not asked about"]
