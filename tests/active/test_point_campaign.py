"""Campaigns that ask where heads are: held-out points, and files with a line per head."""

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dropped_answers import SOURCE, drop
from rankloop.active.campaign import SELECTED, Campaign
from rankloop.active.conductor import Orders, drive
from rankloop.active.cycle import Resources
from rankloop.active.labels import Label
from rankloop.active.view import curve
from rankloop.datasets.arrow import with_column
from rankloop.datasets.crowds import shown_crowd
from rankloop.datasets.dataset import Dataset, split_indices
from rankloop.datasets.opening import open_dataset
from rankloop.errors import ConfigError
from rankloop.images import encode
from rankloop.methods.counting import counted_rows, cropped_rows
from rankloop.storage import open_folder


@pytest.fixture(scope="module")
def discs() -> Dataset:
    return open_dataset(["discs"], seed=0, learns_from="points")


@pytest.fixture
def campaign(make_campaign, discs) -> Campaign:
    return make_campaign(method="counting", dataset=discs)


@pytest.fixture
def asked_points(make_campaign, discs) -> tuple[Campaign, list[str], Path]:
    """A campaign whose images 0 to 3 are asked about; the others are counted already."""
    rows = split_indices(discs, "train")[:4].tolist()
    names = sorted(discs.images["image"][row].as_py() for row in rows)
    images = discs.images
    for name in ("score", "points"):
        values = images[name].to_pylist()
        for row in rows:
            values[row] = None
        images = with_column(images, name, values)
    data = replace(discs, images=images)
    campaign = make_campaign(method="counting", dataset=data, labelling="folder")
    assert sorted(campaign.items) == names
    campaign.cycle(0).write_json(SELECTED, {"items": names})
    SOURCE.ask(campaign, 0, names)
    return campaign, names, Path(SOURCE.where(campaign, 0))


def _heads(number: int, more: str = "") -> list[str]:
    """Lines with different heads of the first image."""
    return [f"000-0001.png,{place},4{more}" for place in range(number)]


def test_held_out_points_are_hidden_and_come_back_as_they_were(campaign, discs):
    before = {row["image"]: row for row in discs.images.to_pylist()}
    names = sorted(campaign.items)
    assert len(names) == 24
    empty = campaign.data({})
    assert len(counted_rows(empty)) == 0
    assert {row["points"] is None for row in empty.dataset.images.to_pylist()} == {True, False}
    taken = {name: campaign.truth[name] for name in names[:3]}
    data = campaign.data(taken)
    for row in data.dataset.images.to_pylist():
        if row["image"] in names[3:]:
            assert row["points"] is row["score"] is None
        else:
            assert row["points"] == before[row["image"]]["points"]
            assert row["score"] == before[row["image"]]["score"]
    assert len(counted_rows(data)) == 3
    # All that were unlabelled at first are ranked, those labelled since as well.
    assert len(cropped_rows(data, campaign.config)) == 24


def test_a_form_has_a_line_per_image_and_says_how_to_mark_heads(asked_points):
    _, names, answers = asked_points
    rows = list(csv.DictReader(io.StringIO((answers.parent / "form.csv").read_text())))
    assert list(rows[0]) == ["image", "x", "y", "annotator", "name"]
    assert [row["name"] for row in rows] == names
    text = " ".join((answers.parent / "instructions.txt").read_text().split())
    assert "one line for every head" in text
    assert "none as x for an image without heads" in text


def test_lines_of_an_image_are_its_heads(asked_points):
    campaign, names, answers = asked_points
    drop(
        answers,
        "anna.csv",
        "image,x,y",
        "000-0001.png,3.5,4",
        "000-0002.png,none,",
        "000-0001.png,159,159.4",
        "000-0003.png,,",
    )
    found = SOURCE.answers(campaign, 0, names)
    assert found.labels == {
        names[0]: Label(2.0, points=((3.5, 4.0), (159.0, 159.4))),
        names[1]: Label(0.0, points=()),
    }
    assert list(found.missing) == names[2:]
    assert not found.refused
    data = campaign.data(found.labels)
    entries = {row["image"]: row for row in data.dataset.images.to_pylist()}
    assert entries[names[0]]["score"] == 2.0
    np.testing.assert_allclose(entries[names[0]]["points"], [[3.5, 4.0], [159.0, 159.4]])
    assert entries[names[1]]["points"] == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("160,20", "the head at 160, 20 is not in the image of 160 x 160 pixels"),
        ("7,", "y '' is not a number"),
        (",7", "x '' is not a number"),
        ("none,", "has a line with none and others: keep one"),
        ("none,3", "y '3' beside x 'none': leave it empty"),
    ],
)
def test_an_image_of_which_a_line_cannot_be_used_has_no_answer(asked_points, line, reason):
    """Others of the same file have: no head is missing there."""
    campaign, names, answers = asked_points
    lines = ["000-0001.png,3,4", f"000-0001.png,{line}", "000-0002.png,5,6"]
    drop(answers, "anna.csv", "image,x,y", *lines)
    found = SOURCE.answers(campaign, 0, names)
    assert list(found.labels) == [names[1]]
    assert any(reason in why for _, why in found.refused)
    drop(answers, "ben.csv", "image,x,y", "000-0001.png,3,4", "000-0001.png,8,9")
    assert SOURCE.answers(campaign, 0, names).labels[names[0]].score == 2.0


def test_heads_outside_the_region_of_interest_are_dark_and_do_not_count(asked_points):
    campaign, names, answers = asked_points
    mask = np.zeros((160, 160, 3), np.uint8)
    mask[:, :80] = 255
    images = campaign.dataset.images
    regions = [encode(mask)] * len(images)
    seen = replace(campaign.dataset, images=with_column(images, "region", regions))
    campaign.__dict__["dataset"] = seen
    row = campaign.rows_of(names[0])[0]
    shown, whole = shown_crowd(seen, row), campaign.data({}).load(row)
    np.testing.assert_array_equal(shown[:, :80], whole[:, :80])
    np.testing.assert_array_equal(shown[:, 80:], whole[:, 80:] // 4)
    drop(answers, "anna.csv", "image,x,y", "000-0001.png,3,4", "000-0001.png,120,4")
    label = SOURCE.answers(campaign, 0, names).labels[names[0]]
    assert label == Label(1.0, points=((3.0, 4.0),))
    # Nor do they make hers the number that is most, or opinions differ.
    drop(answers, "ben.csv", "image,x,y", "000-0001.png,3,4", "000-0001.png,7,4")
    drop(answers, "cy.csv", "image,x,y", *_heads(3))
    dark = [f"000-0001.png,{x},9" for x in range(90, 120)]
    drop(answers, "anna.csv", "image,x,y", "000-0001.png,3,4", *dark)
    label = SOURCE.answers(campaign, 0, names).labels[names[0]]
    assert label == Label(2.0, pytest.approx(1.0), 3, ((3.0, 4.0), (7.0, 4.0)))


def test_images_without_points_are_not_asked_about_and_never_counted(make_campaign, discs):
    rows = split_indices(discs, "train")
    points = discs.images["points"].to_pylist()
    for row in rows[:20].tolist():
        points[row] = None
    some = replace(discs, images=with_column(discs.images, "points", points))
    campaign = make_campaign(method="counting", dataset=some)
    kept = sorted(discs.images["image"].take(rows[20:]).to_pylist())
    assert sorted(campaign.items) == sorted(campaign.truth) == kept
    # Where people are asked, they mark the heads of those of which only the number is known.
    counted = make_campaign(method="counting", dataset=some, labelling="folder", name="counted")
    asked = sorted(discs.images["image"].take(rows[:20]).to_pylist())
    assert sorted(counted.items) == asked
    crops = cropped_rows(counted.data({}), counted.config)
    assert sorted(discs.images["image"].take(crops).to_pylist()) == asked
    none = replace(discs, images=with_column(discs.images, "points", [None] * len(points)))
    with pytest.raises(ConfigError, match="no training image of discs has head points"):
        make_campaign(method="counting", dataset=none, name="other")


def test_the_newest_file_of_an_annotator_counts_and_the_median_of_several(asked_points):
    campaign, names, answers = asked_points
    drop(answers, "anna.csv", "image,x,y", "000-0001.png,1,1")
    drop(answers, "anna2.csv", "image,x,y,annotator", *_heads(2, ",anna"))
    drop(answers, "ben.csv", "image,x,y", *_heads(5))
    drop(answers, "cy.csv", "image,x,y", *_heads(3))
    for age, name in enumerate(("cy", "ben", "anna2", "anna")):
        moment = 1_700_000_000 - 100 * age

        os.utime(answers / f"{name}.csv", (moment, moment))
    label = SOURCE.answers(campaign, 0, names).labels[names[0]]
    assert label == Label(
        3.0, pytest.approx(1.5275, abs=1e-3), 3, ((0.0, 4.0), (1.0, 4.0), (2.0, 4.0))
    )


def test_numbers_far_from_the_known_ones_count_and_are_named(asked_points):
    campaign, names, answers = asked_points
    drop(answers, "anna.csv", "image,x,y", *_heads(130))
    found = SOURCE.answers(campaign, 0, names)
    assert found.labels[names[0]].score == 130.0
    assert "130 heads are outside the known numbers" in found.unusual[0][1]


def test_a_head_that_is_there_twice_counts_once(asked_points):
    campaign, names, answers = asked_points
    drop(answers, "anna.csv", "image,x,y", *_heads(3), *_heads(2))
    found = SOURCE.answers(campaign, 0, names)
    assert found.labels[names[0]].score == 3.0
    assert "2 heads" in found.unusual[0][1]
    assert "they count once" in found.unusual[0][1]


def test_lines_without_an_annotator_are_those_of_the_one_that_is_named(asked_points):
    """Of the form's line the annotator is filled in, and not of those that were added below."""
    campaign, names, answers = asked_points
    lines = ["000-0001.png,9,9,Anna", *_heads(5, ","), "000-0002.png,1,1,"]
    drop(answers, "mine.csv", "image,x,y,annotator", *lines)
    found = SOURCE.answers(campaign, 0, names)
    assert (found.labels[names[0]].score, found.labels[names[0]].annotators) == (6.0, 1)
    assert {(one.question, one.annotator) for one in found.single} == {
        (names[0], "Anna"),
        (names[1], "mine"),
    }
    # Whose the fifth head is, nobody can tell.
    lines = ["000-0003.png,9,9,Anna", "000-0003.png,9,9,Ben", "000-0003.png,5,5,"]
    drop(answers, "ours.csv", "image,x,y,annotator", *lines)
    found = SOURCE.answers(campaign, 0, names)
    assert names[2] not in found.labels
    assert any("name several annotators, and some none" in why for _, why in found.refused)
    drop(answers, "ours.csv", "image,x,y,annotator", *lines[:2])
    label = SOURCE.answers(campaign, 0, names).labels[names[2]]
    assert (label.score, label.annotators) == (1.0, 2)


@pytest.mark.usefixtures("ray_session")
def test_cycles_train_on_points_and_measure_errors(campaign, tmp_path):
    orders = Orders(cycles=1, resources=Resources(workers=0, scoring_workers=0))
    told: list[str] = []
    storage = open_folder(str(tmp_path))
    assert drive(campaign.folder, storage, orders, told.append) is None
    entries = curve(campaign)
    assert [entry["share"] for entry in entries] == pytest.approx([0.25, 0.5])
    assert all(entry["metrics"]["test"]["mae"] > 0 for entry in entries)
    assert any("validation MAE" in line for line in told)
    assert (tmp_path / "active_learning" / "campaign" / "plots").exists()
    labels = campaign.labels(2)
    assert len(labels) == 12
    assert all(label == campaign.truth[name] for name, label in labels.items())
