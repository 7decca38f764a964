"""Campaigns of methods that learn from pairs: people say which of two images is better."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rankloop.active.answer_folder import AnswerFolder
from rankloop.active.campaign import SELECTED, TRAINED, Campaign, Plan
from rankloop.active.conductor import Orders, drive
from rankloop.active.cycle import Resources
from rankloop.active.items import candidate_pairs, pair_items
from rankloop.active.labels import Label
from rankloop.active.new_campaign import create_campaign
from rankloop.active.report import round_report, status_report
from rankloop.datasets.arrow import with_column
from rankloop.datasets.dataset import Dataset
from rankloop.datasets.opening import open_dataset
from rankloop.errors import DataError
from rankloop.images import decode
from rankloop.methods.ssranking import SSRankingConfig
from rankloop.storage import open_folder

CONFIG = SSRankingConfig(
    backbone="shallow", image_size=56, input_size=48, labelled_pairs=4, unlabelled_sets=2, steps=6
)
SOURCE = AnswerFolder(settled_seconds=0.0)
MakeCampaign = Callable[..., Campaign]


@pytest.fixture(scope="module")
def compared(scored_photos: Path) -> Dataset:
    """Twenty training pairs drawn from scores, and photographs without any."""
    return open_dataset(
        [f"csv:{scored_photos}/scores.csv?higher_is_better=true", f"folder:{scored_photos}"],
        seed=0,
        labels=20,
    )


@pytest.fixture
def make_pair_campaign(tmp_path: Path, compared: Dataset) -> MakeCampaign:
    def make(dataset: Dataset = compared, **values: object) -> Campaign:
        plan = Plan(
            method="ssranking",
            config=CONFIG.model_dump(mode="json"),
            strategy="certainty",
            labelling="held_out",
            start=0.2,
            step=0.2,
            seed=0,
            warm_start=True,
            pairs=20,
            dataset={
                "name": dataset.name,
                "higher_is_better": dataset.higher_is_better,
                "score_name": dataset.score_name,
                "annotator": dataset.annotator,
            },
        )
        folder = open_folder(str(tmp_path)) / "active_learning" / "campaign"
        return create_campaign(folder, replace(plan, **values), dataset)

    return make


def _training_pairs(dataset: Dataset) -> set[tuple[str, str]]:
    rows = dataset.pairs.to_pylist()
    return {(row["better"], row["worse"]) for row in rows if row["split"] == "train"}


def test_held_out_labels_are_the_training_pairs(make_pair_campaign, compared: Dataset):
    campaign = make_pair_campaign()
    known = _training_pairs(compared)
    assert len(known) == 20
    assert _training_pairs(campaign.dataset) == set()
    assert len(campaign.dataset.pairs) == len(compared.pairs) - 20
    assert campaign.questions_of(sorted(campaign.items)) == sorted(campaign.items)
    assert set(campaign.truth) == set(campaign.items)
    assert _training_pairs(campaign.data(campaign.truth).dataset) == known
    for name in campaign.items:
        first, second = (campaign.image_names[row] for row in campaign.rows_of(name))
        assert first < second, "the order of the names says nothing"
    assert {label.score for label in campaign.truth.values()} == {-1.0, 1.0}


def test_pairs_to_ask_about_are_a_circle_without_those_that_are_labelled(compared: Dataset):
    unlabelled = replace(compared, pairs=compared.pairs.slice(0, 0))
    rows = [r for r in compared.images.to_pylist() if r["split"] == "train"]
    images = [r["image"] for r in rows if r["score"] is None]
    assert 5 < len(images) < len(rows), "what scores say need not be asked"
    circle = candidate_pairs(unlabelled, seed=3)
    assert len(circle) == len(images)
    assert Counter(name for pair in circle for name in pair) == dict.fromkeys(images, 2)
    assert candidate_pairs(unlabelled, seed=3) == circle != candidate_pairs(unlabelled, seed=4)
    rows = [{"better": b, "worse": a, "split": "train"} for a, b in circle[:5]]
    labelled = replace(compared, pairs=pa.Table.from_pylist(rows, compared.pairs.schema))
    assert candidate_pairs(labelled, seed=3) == circle[5:]


@pytest.mark.parametrize(("images", "pairs"), [(1, 0), (2, 1), (3, 3)])
def test_a_few_images_have_few_pairs(compared: Dataset, images: int, pairs: int):
    rows = [{**r, "score": None} for r in compared.images.to_pylist() if r["split"] == "train"]
    rows = rows[:images]
    table = pa.Table.from_pylist(rows, compared.images.schema)
    found = candidate_pairs(replace(compared, images=table, pairs=compared.pairs.slice(0, 0)), 0)
    assert len(found) == pairs


def test_a_pair_without_a_majority_has_no_order(make_pair_campaign):
    campaign = make_pair_campaign(labelling="folder")
    own = _training_pairs(campaign.dataset)
    first, second, third = sorted(campaign.items)[:3]
    labels = {first: Label(1 / 3, 1.15, 3), second: Label(-1.0), third: Label(0.0, 1.41, 2)}
    names = campaign.image_names
    one, two = (tuple(names[row] for row in campaign.rows_of(name)) for name in (first, second))
    assert _training_pairs(campaign.data(labels).dataset) == own | {one, two[::-1]}
    assert campaign.can_train({})
    assert campaign.label_count(labels) == len(own) + 2


def test_what_votes_contradict_is_not_asked_about(make_pair_campaign, compared: Dataset):
    rows = compared.pairs.to_pylist()
    known = [row for row in rows if row["split"] == "train"]
    contrary = {**known[0], "better": known[0]["worse"], "worse": known[0]["better"]}
    pairs = pa.Table.from_pylist([*rows, contrary, known[1]], compared.pairs.schema)
    campaign = make_pair_campaign(replace(compared, pairs=pairs))
    learned = _training_pairs(campaign.data(campaign.truth).dataset)
    assert learned == {(row["better"], row["worse"]) for row in known[1:]}


def test_ties_alone_are_not_enough_to_train(make_pair_campaign, compared: Dataset):
    kept = [row for row in compared.pairs.to_pylist() if row["split"] != "train"]
    pairs = pa.Table.from_pylist(kept, compared.pairs.schema)
    campaign = make_pair_campaign(replace(compared, pairs=pairs), labelling="folder")
    one, two = sorted(campaign.items)[:2]
    campaign.cycle(0).write_json(SELECTED, {"items": [one, two]})
    SOURCE.ask(campaign, 0, [one, two])
    answers = SOURCE.answers(campaign, 0, [one, two])
    assert not campaign.can_train({one: Label(0.0)})
    assert campaign.can_train({one: Label(0.0), two: Label(-0.2)})
    told = round_report(campaign, replace(answers, missing=[]), SOURCE)
    assert "no pair has an order so far" in told


def test_people_compare_two_images_and_the_majority_decides(make_pair_campaign):
    campaign = make_pair_campaign(labelling="folder")
    pairs = sorted(campaign.items)[:4]
    campaign.cycle(0).write_json(SELECTED, {"items": pairs})
    SOURCE.ask(campaign, 0, pairs)
    answers = Path(SOURCE.where(campaign, 0))
    request = answers.parent
    rows = list(csv.DictReader(io.StringIO((request / "form.csv").read_text())))
    assert list(rows[0]) == ["pair", "better", "annotator", "name"]
    assert [row["name"] for row in rows] == pairs
    load = campaign.data({}).load
    for row in rows:
        for side, number in zip("ab", campaign.rows_of(row["name"]), strict=True):
            shown = decode((request / "images" / f"{row['pair']}-{side}.png").read_bytes())
            np.testing.assert_array_equal(shown, load(number))
    text = " ".join((request / "instructions.txt").read_text().split())
    assert "4 pairs" in text
    assert "which of the two images of every pair is better: a, b or tie" in text
    assert "the majority decides" in text
    keys = [row["pair"] for row in rows]
    votes = {"anna": "a b a left", "ben": "a b tie a", "cleo": "B b b a"}
    for who, said in votes.items():
        lines = [f"{key},{vote}" for key, vote in zip(keys, said.split(), strict=True)]
        (answers / f"{who}.csv").write_text("\n".join(["pair,better", *lines, "999,a"]))
    found = SOURCE.answers(campaign, 0, pairs)
    assert {name: label.score > 0 for name, label in found.labels.items() if label.score} == {
        pairs[0]: True,
        pairs[1]: False,
        pairs[3]: True,
    }
    assert found.labels[pairs[1]] == Label(-1.0, 0.0, 3)
    assert found.labels[pairs[2]].score == 0.0
    assert found.labels[pairs[3]].annotators == 2
    assert not found.missing
    assert [name for name, _ in found.disagreements] == [pairs[0], pairs[2]]
    assert sorted(reason for _, reason in found.refused) == [
        "better 'left' is none of a, b and tie",
        *["pair '999' was not asked about"] * 3,
    ]


@pytest.mark.integration
@pytest.mark.usefixtures("ray_session")
def test_the_protocol_runs_on_pairs(make_pair_campaign):
    campaign = make_pair_campaign()
    storage = campaign.folder / ".." / ".."
    told: list[str] = []
    drive(campaign.folder, storage, Orders(2, Resources(0, None, 0)), told.append)
    assert any("validation SROCC 0." in line or "validation SROCC -0." in line for line in told)
    assert [len(campaign.selected(number)) for number in (0, 1, 2)] == [4, 4, 4]
    assert [campaign.cycle(n).read_json(TRAINED)["labels"] for n in (1, 2, 3)] == [4, 8, 12]
    metrics = campaign.cycle(3).read_json(TRAINED)["metrics"]["test"]
    assert 0.0 <= metrics["pair_accuracy"] <= 1.0
    assert (campaign.cycle(1) / "plots").has("selected.png")
    assert (campaign.folder / "plots").has("learning_curve_pair_accuracy.png")
    report = status_report(campaign, storage)
    assert "12 of 20 items labelled" in report
    assert "test pair accuracy" in report


def test_pairs_that_would_be_called_alike_are_refused(compared: Dataset):
    names = compared.images["image"].to_pylist()
    names[:4] = ["a", "b | c", "a | b", "c"]
    dataset = replace(compared, images=with_column(compared.images, "image", names))
    with pytest.raises(DataError, match=r"2 pairs of images would be called 'a \| b \| c'"):
        pair_items(dataset, [("a", "b | c"), ("a | b", "c")])
    assert len(pair_items(dataset, [("a", "b | c"), ("a | b", "b | c")])) == 2
