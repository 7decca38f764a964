from dataclasses import replace

from rankloop.active.campaign import (
    DONE,
    LABELS,
    SELECTED,
    share_of,
)
from rankloop.active.items import items_of
from rankloop.active.labels import Label, labels_table
from rankloop.datasets.dataset import Dataset
from rankloop.methods.rankiqa import ladder_rows
from rankloop.storage import write_parquet


def test_a_campaign_of_people_may_ask_about_what_has_no_label(make_campaign, scored: Dataset):
    campaign = make_campaign(labelling="folder")
    rows = scored.images.to_pylist()
    assert set(campaign.items) == {r["image"] for r in rows if r["score"] is None}
    assert campaign.truth == {}


def test_all_levels_of_a_distortion_are_one_item(scored: Dataset):
    rows = scored.images.to_pylist()
    for i, row in enumerate(rows[:6]):
        row |= {"source": "r", "distortion": "jpeg", "level": 3 - i % 3, "split": "train"}
        row |= {"distortion": "jpeg" if i < 3 else "blur"}
    rows[4]["level"] = rows[5]["level"] = None
    images = scored.images.from_pylist(rows, scored.images.schema)
    items = {item.name: item for item in items_of(replace(scored, images=images))}
    assert items["r × jpeg"].rows == (2, 1, 0)
    assert items["r × jpeg"].levels == (1, 2, 3)
    assert items["r × blur"].rows == (3, 4, 5)
    assert items["r × blur"].levels == ()
    trained = [row["image"] for row in rows[6:] if row["split"] == "train"]
    assert set(trained) == set(items) - {"r × jpeg", "r × blur"}


def test_labels_of_cycles_add_up_and_the_newest_counts(make_campaign):
    campaign = make_campaign(labelling="folder")
    one, two, three = sorted(campaign.items)[:3]
    first = {one: Label(3.0), two: Label(4.0)}
    write_parquet(campaign.cycle(0), LABELS, labels_table(first))
    write_parquet(campaign.cycle(1), LABELS, labels_table({two: Label(5.0, 1.5, 2)}))
    assert campaign.labels(0) == {}
    assert campaign.labels(1) == first
    assert campaign.labels(2) == {one: Label(3.0), two: Label(5.0, 1.5, 2)}
    assert campaign.labelled_items(2) == {one, two}
    data = campaign.data(campaign.labels(2))
    found = {row["image"]: (row["score"], row["spread"]) for row in data.dataset.images.to_pylist()}
    assert (found[one], found[two], found[three]) == ((3.0, None), (5.0, 1.5), (None, None))
    assert data.load(campaign.items[one].rows[0]).shape == (60, 80, 3)


def test_ladders_are_made_of_the_same_photographs_in_every_cycle(make_campaign):
    campaign = make_campaign()
    rows = [ladder_rows(campaign.data({}), 1.0, seed=0).tolist()]
    names = sorted(campaign.truth)
    for count in (5, len(names) - 1, len(names)):
        labels = {name: campaign.truth[name] for name in names[:count]}
        rows.append(ladder_rows(campaign.data(labels), 1.0, seed=0).tolist())
    assert rows[1:] == rows[:1] * 3
    people = make_campaign("people", labelling="folder")
    unscored = {people.items[name].rows[0] for name in people.items}
    labels = {name: Label(3.0) for name in sorted(people.items)[:3]}
    assert set(ladder_rows(people.data(labels), 1.0, seed=0).tolist()) == unscored


def test_what_could_not_be_shown_is_back_in_the_pool(make_campaign):
    campaign = make_campaign(labelling="folder")
    one, two, *others = sorted(campaign.items)
    campaign.cycle(0).write_json(SELECTED, {"items": [one, two]})
    assert campaign.pool(1) == others
    campaign.cycle(0).write_json(DONE, {"not_shown": [one]})
    assert campaign.pool(1) == [one, *others]


def test_shares_are_at_least_one_item_and_at_most_all():
    assert [share_of(40, s) for s in (0.001, 0.1, 0.26, 1.0)] == [1, 4, 10, 40]
    assert share_of(0, 0.5) == 0
