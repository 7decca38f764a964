"""Data that are tested on another data source."""

from dataclasses import replace

import pytest

from rankloop.datasets import transfer
from rankloop.datasets.arrow import with_column
from rankloop.datasets.dataset import Dataset
from rankloop.datasets.opening import open_dataset
from rankloop.errors import DataError


@pytest.fixture(scope="module")
def discs() -> Dataset:
    return open_dataset(["discs"], seed=0, learns_from="points")


def test_the_target_alone_is_tested_on_and_other_test_images_are_left_out(discs):
    rows = discs.images.to_pylist()
    target = {row["uri"] for row in rows if row["split"] == "train"}
    target = set(sorted(target)[:5])
    found = {
        row["uri"]: row["split"]
        for row in transfer.tested_on(discs, target, "points").images.to_pylist()
    }
    assert {uri for uri, split in found.items() if split == "test"} == target
    for row in rows:
        expected = None if row["split"] == "test" else row["split"]
        if row["uri"] not in target:
            assert found.get(row["uri"]) == expected


@pytest.mark.parametrize(
    ("labels", "lacks"), [("points", "heads or a count"), ("scores", "a score")]
)
def test_a_target_without_labels_is_refused(discs, labels, lacks):
    rows = discs.images.to_pylist()
    target = {row["uri"] for row in rows if row["split"] == "test"}
    images = discs.images
    for name in ("points", "score"):
        kept = [None if row["uri"] in target else row[name] for row in rows]
        images = with_column(images, name, kept)
    bare = replace(discs, images=images)
    with pytest.raises(DataError, match=f"none of the {len(target)} images .* has {lacks}"):
        transfer.tested_on(bare, target, labels)


def test_a_target_that_is_all_or_nothing_of_the_data_is_refused(discs):
    everything = set(discs.images["uri"].to_pylist())
    for target in ({"elsewhere"}, everything):
        with pytest.raises(DataError, match="give a target that is none of the data sources"):
            transfer.tested_on(discs, target, "points")
