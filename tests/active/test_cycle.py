"""Cycles on a real Ray: what is done is not done again, and ends as if nothing had happened."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rankloop.active.answer_folder import AnswerFolder
from rankloop.active.campaign import (
    DONE,
    LABELS,
    SCORES,
    SELECTED,
    TRAINED,
    Campaign,
    open_campaign,
)
from rankloop.active.conductor import Orders, drive
from rankloop.active.cycle import Resources, run_cycle, run_folder
from rankloop.active.held_out import HeldOutLabels
from rankloop.active.label_source import Answers
from rankloop.active.labels import Label
from rankloop.active.pool_scores import score_items
from rankloop.active.report import status_report
from rankloop.active.view import curve, siblings
from rankloop.errors import DataError, LockedError
from rankloop.locking import locked
from rankloop.scoring.scorer import checkpoint_digest, find_checkpoint
from rankloop.storage import open_folder, read_parquet
from rankloop.training.checkpoints import load_latest

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_session")]
HERE = Resources(workers=0, scoring_workers=0)


def _drive(campaign: Campaign, cycles: int = 2) -> list[str]:
    told: list[str] = []
    storage = campaign.folder / ".." / ".."
    drive(campaign.folder, storage, Orders(cycles, HERE), told.append)
    return told


def _decisions(campaign: Campaign) -> list[tuple[list[str], object, object]]:
    found = []
    for number in range(campaign.cycles_done() + 1):
        folder = campaign.cycle(number)
        found.append(
            (
                campaign.selected(number) if folder.has(SELECTED) else [],
                read_parquet(folder, LABELS).to_pylist() if folder.has(LABELS) else None,
                folder.read_json(TRAINED)["metrics"] if folder.has(TRAINED) else None,
            )
        )
    return found


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, build_campaign: Callable[..., Campaign]
) -> Campaign:
    campaign = build_campaign(tmp_path_factory.mktemp("finished"))
    _drive(campaign)
    return campaign


@pytest.fixture
def done(finished: Campaign, tmp_path: Path) -> Campaign:
    """A copy of a finished campaign, to do with as one likes."""
    copy = tmp_path / "active_learning" / "campaign"
    shutil.copytree(finished.folder.path, copy)
    return open_campaign(open_folder(str(copy)))


def test_the_protocol_starts_asks_and_trains_on_all_it_asked_for(done: Campaign):
    sizes = [len(done.selected(number)) for number in range(3)]
    total = len(done.items)
    assert sizes == [round(total * 0.25)] * 3
    chosen = [name for number in range(3) for name in done.selected(number)]
    assert len(set(chosen)) == len(chosen)
    shares = [(entry["cycle"], entry["labelled_items"]) for entry in curve(done)]
    assert shares == [(1, sizes[0]), (2, 2 * sizes[0]), (3, 3 * sizes[0])]
    assert not done.cycle(0).has(TRAINED)
    assert not done.cycle(3).has(SELECTED)
    for name, label in done.labels(3).items():
        assert done.truth[name] == label
    report = status_report(done, done.folder)
    assert "cycle 3 was the last" in report
    assert f"{3 * sizes[0]} (" in report
    assert f"jobs/score.py {done.folder} PHOTOS" in report
    newest = load_latest(run_folder(done, 3) / "checkpoints", training=False)
    assert checkpoint_digest(find_checkpoint(done.folder)) == checkpoint_digest(newest)


def test_the_least_certain_items_of_the_pool_are_selected(done: Campaign):
    for number in (1, 2):
        rows = read_parquet(done.cycle(number), SCORES).to_pylist()
        pool = set(done.items) - done.labelled_items(number)
        assert {row["item"] for row in rows} == pool
        values = {row["item"]: row["certainty"] for row in rows}
        chosen = done.selected(number)
        assert max(values[name] for name in chosen) <= min(
            values[name] for name in pool if name not in chosen
        )
        assert all(row["forwards"] == 10 and 0 <= row["certainty"] <= 1 for row in rows)


def test_a_cycle_begins_with_the_weights_of_the_one_before(done: Campaign, make_campaign):
    cold = make_campaign("cold", warm_start=False)
    _drive(cold, cycles=1)
    first = [load_latest(run_folder(c, 1) / "checkpoints").model for c in (done, cold)]
    assert all(np.array_equal(first[0][name], first[1][name]) for name in first[0])
    second = [load_latest(run_folder(c, 2) / "checkpoints").model for c in (done, cold)]
    moved = [
        sum(float((later[n] - first[0][n]).abs().sum()) for n in later if "weight" in n)
        for later in second
    ]
    assert moved[0] < moved[1] / 3


@pytest.mark.parametrize("gone", [TRAINED, SCORES, SELECTED, LABELS, DONE])
def test_a_lost_last_step_is_made_again_and_is_the_same(done: Campaign, make_campaign, gone: str):
    """What a kill between two steps leaves: files up to one of them, and none after it."""
    order = [TRAINED, SCORES, SELECTED, LABELS, DONE]
    expected = _decisions(done)
    for name in order[order.index(gone) :]:
        done.cycle(2).remove(name)
    done.cycle(3).remove(TRAINED)
    _drive(open_campaign(done.folder))
    assert _decisions(open_campaign(done.folder)) == expected


def test_what_is_done_is_not_done_again(done: Campaign):
    before = {
        name: done.cycle(number).read_bytes(name)
        for number in range(4)
        for name in done.cycle(number).names()
        if name.endswith((".json", ".parquet"))
    }
    assert _drive(done) == []
    after = {
        name: done.cycle(number).read_bytes(name)
        for number in range(4)
        for name in done.cycle(number).names()
        if name.endswith((".json", ".parquet"))
    }
    assert after == before


def test_a_finished_protocol_can_be_extended(done: Campaign):
    before = _decisions(done)
    told = _drive(done, cycles=3)
    assert not any("cycle 3: trains" in line for line in told)
    after = _decisions(open_campaign(done.folder))
    assert after[:3] == before[:3]
    assert len(after[3][0]) == len(before[1][0])
    assert after[4][2] is not None


def test_a_pool_that_is_used_up_ends_the_campaign(make_campaign):
    campaign = make_campaign(start=0.6, step=0.4)
    _drive(campaign, cycles=9)
    assert [entry["share"] for entry in curve(campaign)] == [
        pytest.approx(0.6, abs=0.05),
        1.0,
    ]
    assert campaign.selected(2) == []
    assert campaign.cycles_done() == 3
    assert _drive(campaign, cycles=9) == []


def test_the_random_baseline_beside_is_found_and_starts_alike(make_campaign):
    campaign = make_campaign()
    assert siblings(campaign) == []
    baseline = make_campaign("baseline", strategy="random")
    make_campaign("other", strategy="random", seed=1)
    assert [other.folder.name for other in siblings(campaign)] == ["baseline"]
    assert [other.folder.name for other in siblings(baseline)] == ["campaign"]
    for each in (campaign, baseline):
        assert run_cycle(each, 0, HeldOutLabels(), HERE) is None
    assert campaign.selected(0) == baseline.selected(0)


def test_diverse_selection_runs_and_differs(done: Campaign, make_campaign):
    diverse = make_campaign("diverse", strategy="diverse")
    _drive(diverse, cycles=1)
    assert diverse.selected(0) == done.selected(0)
    assert set(diverse.selected(1)) != set(done.selected(1))
    rows = read_parquet(diverse.cycle(1), SCORES).to_pylist()
    assert {row["forwards"] for row in rows} == {10}
    # Cut off after the scores were written: they stay, and the same items are selected.
    chosen, scores = diverse.selected(1), diverse.cycle(1).read_bytes(SCORES)
    for name in (SELECTED, LABELS, DONE):
        diverse.cycle(1).remove(name)
    diverse.cycle(2).remove(TRAINED)
    _drive(open_campaign(diverse.folder), cycles=1)
    assert diverse.selected(1) == chosen
    assert diverse.cycle(1).read_bytes(SCORES) == scores


def test_late_answers_count_even_when_nothing_is_left_to_ask_about(make_campaign, scored_photos):
    campaign = make_campaign(labelling="folder", step=1.0)
    storage = open_folder(str(campaign.folder.path)) / ".." / ".."
    orders = Orders(None, HERE, settled_seconds=0.0)

    def a_round() -> object:
        return drive(campaign.folder, storage, orders, lambda line: None)

    def answer(name: str, score: int) -> None:
        files = (campaign.cycle(1) / "request").read_json("request.json")["files"]
        where = campaign.folder.path + "/cycle-001/request/answers/" + name
        lines = [f"{file},{score + i % 2}" for i, file in enumerate(files)]
        Path(where).write_text("\n".join(["image,score", *lines]))

    answers = a_round()
    assert len(answers.missing) == len(answers.asked) == len(campaign.items)
    answer("anna.csv", 5)
    assert a_round() is None
    assert campaign.cycles_done() == 3
    assert a_round() is None
    assert campaign.cycles_done() == 3
    answer("ben.csv", 1)
    a_round()
    assert {label.score for label in campaign.labels(4).values()} == {3.0, 4.0}
    assert all(label.annotators == 2 for label in campaign.labels(4).values())
    while campaign.cycles_done() < 5:
        a_round()
    assert a_round() is None
    assert campaign.cycles_done() == 5


def test_equal_first_labels_are_not_enough(make_campaign):
    campaign = make_campaign(start=0.01)
    assert run_cycle(campaign, 0, HeldOutLabels(), HERE) is None
    assert len(campaign.selected(0)) == 2
    truth = {name: Label(4.0) for name in campaign.truth}
    equal = make_campaign("equal", start=0.1)
    equal.__dict__["truth"] = truth
    answers = run_cycle(equal, 0, HeldOutLabels(), HERE)
    assert answers is not None
    assert not answers.missing
    assert equal.cycles_done() == 0


@pytest.mark.slow
def test_certainty_does_not_depend_on_the_number_of_workers(done: Campaign):
    checkpoint = load_latest(run_folder(done, 1) / "checkpoints", training=False)
    items = list(done.items.values())
    data = done.data({})
    found = [
        [
            (score.name, score.certainty, round(score.score, 5))
            for some in score_items(checkpoint, items, data, seed=0, workers=workers, pairs=20)
            for score in some
        ]
        for workers in (0, 1, 2)
    ]
    assert found[0] == found[1] == found[2]
    assert [name for name, *_ in found[0]] == [item.name for item in items]


def test_items_that_cannot_be_read_are_listed_and_not_selected(make_campaign, photos_away):
    campaign = make_campaign(labelling="folder", start=0.2, step=0.5)
    gone = sorted(campaign.items)[3]
    source = HeldOutLabels()
    place = campaign.items[gone].rows[0]
    names = campaign.dataset.images["uri"].to_pylist()
    with photos_away(gone):
        assert names[place].endswith(gone)
        run_cycle(campaign, 0, source, HERE)
        with pytest.raises(KeyError):
            # Held-out labels of nobody: the pool was scored and selected from before.
            run_cycle(campaign, 1, source, HERE)
    rows = {r["item"]: r for r in read_parquet(campaign.cycle(1), SCORES).to_pylist()}
    assert "does not exist" in rows[gone]["error"]
    assert rows[gone]["certainty"] is None
    assert gone not in campaign.selected(1)


def test_labels_that_were_taken_in_stay_if_the_cycle_is_cut_off_then(make_campaign):
    campaign = make_campaign(labelling="folder")
    source = AnswerFolder(settled_seconds=0.0)
    first, second = sorted(campaign.items)[:2]
    campaign.cycle(0).write_json(SELECTED, {"items": [first, second]})
    source.ask(campaign, 0, [first, second])
    answers = Path(source.where(campaign, 0))
    (answers / "a.csv").write_text(f"image,score\n{first},1\n{second},2\n")
    assert run_cycle(campaign, 0, source, HERE) is None
    labels = campaign.labels(1)
    assert labels == {first: Label(1.0), second: Label(2.0)}
    (answers / "a.csv").unlink()
    (answers / "b.csv").write_text(f"image,score\n{first},7\n")
    # Killed between the labels and the end, and between the answers and the labels.
    for gone in ((DONE,), (DONE, LABELS)):
        for name in gone:
            campaign.cycle(0).remove(name)
        assert run_cycle(campaign, 0, source, HERE) is None
        assert campaign.labels(1)[second] == Label(2.0)
        assert (campaign.labels(1) == labels) == (gone == (DONE,))


def test_a_pool_that_cannot_be_read_for_a_while_is_not_used_up(make_campaign, photos_away):
    campaign = make_campaign(labelling="folder")
    orders = Orders(None, HERE, settled_seconds=0.0)
    storage = campaign.folder / ".." / ".."
    run_cycle(campaign, 0, HeldOutLabels(), HERE)
    with pytest.raises(KeyError):
        run_cycle(campaign, 1, HeldOutLabels(), HERE)
    for name in (SCORES, SELECTED):
        campaign.cycle(1).remove(name)
    refused = pytest.raises(DataError, match=r"none of the \d+ items that are left can be scored")
    with photos_away(), refused:
        drive(campaign.folder, storage, orders, lambda line: None)
    answers = drive(campaign.folder, storage, orders, lambda line: None)
    assert answers is not None
    assert len(answers.missing) == len(campaign.selected(1)) > 0


def test_shares_that_have_no_exact_double_are_enough(make_campaign):
    class Some(HeldOutLabels):
        def answers(self, campaign, number, questions):
            asked = [f"{i}" for i in range(100)]
            labels = {name: Label(float(name)) for name in asked[:55]}
            return Answers(labels, asked, asked[55:])

    campaign = make_campaign()
    assert run_cycle(campaign, 0, Some(), HERE, enough=0.56) is not None
    assert run_cycle(campaign, 0, Some(), HERE, enough=0.55) is None


def test_a_driver_told_so_waits_for_a_lock_that_may_be_a_dead_ones(make_campaign, monkeypatch):
    campaign = make_campaign()
    beat = {"host": "elsewhere", "boot": 0.0, "pid": 1, "started": 0.0, "heartbeat": time.time()}
    campaign.folder.write_json("lock.json", beat)
    storage = campaign.folder / ".." / ".."
    begun = time.monotonic()
    with pytest.raises(LockedError, match="elsewhere"):
        drive(campaign.folder, storage, Orders(1, HERE), print, patience=1.5)
    assert time.monotonic() - begun >= 1.5
    monkeypatch.setattr("rankloop.locking.STALE_SECONDS", time.time() - beat["heartbeat"] + 1.0)
    told: list[str] = []
    drive(campaign.folder, storage, Orders(1, HERE), told.append, patience=30.0)
    assert campaign.cycles_done() == 2
    (line,) = [line for line in told if line.startswith("cycle 1: took")][-1:]
    assert re.fullmatch(
        r"cycle 1: took \d+ s: training \d+ s, evaluation \d+ s, scoring \d+ s, "
        r"other \d+ s \(\d+ %\)",
        line,
    )


def test_two_at_once_are_refused(make_campaign):
    campaign = make_campaign()
    with locked(campaign.folder), pytest.raises(LockedError, match="another driver"):
        _drive(campaign)
