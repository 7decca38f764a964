"""What a campaign begins with."""

import pytest

from rankloop.active.campaign import (
    PLAN,
    open_campaign,
)
from rankloop.active.labels import Label
from rankloop.active.new_campaign import create_campaign, first_items
from rankloop.datasets.dataset import Dataset, split_indices
from rankloop.errors import ConfigError, StorageError
from rankloop.methods.qcn import QCN
from rankloop.storage import open_folder


def test_held_out_labels_are_those_of_the_training_split(make_campaign, scored: Dataset):
    campaign = make_campaign()
    rows = scored.images.to_pylist()
    hidden = {r["image"] for r in rows if r["split"] == "train" and r["score"] is not None}
    assert set(campaign.truth) == hidden
    for row in campaign.dataset.images.to_pylist():
        (before,) = [r for r in rows if r["image"] == row["image"]]
        assert row["score"] == (None if row["image"] in hidden else before["score"])
        if row["image"] in hidden:
            assert campaign.truth[row["image"]] == Label(before["score"])
    assert set(campaign.items) == hidden
    assert len(split_indices(campaign.dataset, "validation")) > 0


def test_the_same_campaign_is_opened_and_another_refused(make_campaign):
    campaign = make_campaign()
    again = make_campaign()
    assert again.plan == open_campaign(campaign.folder).plan
    assert again.items == campaign.items
    with pytest.raises(ConfigError, match=r"step 0.25 and not 0.5: give the options .* --name"):
        make_campaign(step=0.5)
    with pytest.raises(ConfigError, match=r"margin 0.5 and not 0.7"):
        make_campaign(config={"margin": 0.7})


def test_a_campaign_that_could_not_train_on_its_first_labels_is_refused_before_it_begins(
    make_campaign, tmp_path
):
    folder = open_folder(str(tmp_path)) / "active_learning" / "campaign"
    values = {"method": "qcn", "config": QCN.smoke | {"pivots": 10}}
    with pytest.raises(ConfigError, match=r"10 pivots .* larger --start-share \(now 0.25\)"):
        make_campaign(**values)
    # Labels that the data have themselves, with which no start share helps.
    with pytest.raises(ConfigError, match=r"qcn cannot learn from the .* or more labels$"):
        make_campaign(labelling="folder", method="qcn", config=QCN.smoke | {"pivots": 12})
    assert not folder.has(PLAN)
    # Nothing is fixed yet: other options begin it.
    campaign = make_campaign(start=1.0, **values)
    assert set(first_items(campaign)) == set(campaign.items)


def test_a_folder_without_a_plan_holds_no_campaign(make_campaign, tmp_path, scored: Dataset):
    with pytest.raises(StorageError, match="there is no campaign in"):
        open_campaign(open_folder(str(tmp_path / "nowhere")))
    campaign = make_campaign()
    # Cut off before the plan was written: begun anew.
    campaign.folder.remove(PLAN)
    assert create_campaign(campaign.folder, campaign.plan, scored).items == campaign.items
