"""A dataset that is trained on one data source and tested on another."""

from collections.abc import Collection
from dataclasses import replace

import pyarrow.compute as pc

from rankloop.datasets.arrow import with_column
from rankloop.datasets.dataset import Dataset, Labels
from rankloop.datasets.splits import check_labelled
from rankloop.errors import DataError


def tested_on(dataset: Dataset, uris: Collection[str], labels: Labels) -> Dataset:
    """Return the dataset with some photographs, and no others, as its test images.

    Other images that were test images are left out, whether they are labelled or not.

    Args:
        dataset: of all data sources together.
        uris: of the photographs to test on, whatever split they were in.
        labels: what is learned from.

    Raises:
        DataError: none of them is in the dataset, or has what is measured by, or too little else
            is left to train on.
    """
    images = dataset.images
    there = [uri in uris for uri in images["uri"].to_pylist()]
    called = "heads or a count" if labels == "points" else "a score"
    known = images["score"].is_valid().to_pylist()
    if any(there) and not any(here and has for here, has in zip(there, known, strict=True)):
        raise DataError(
            f"none of the {sum(there)} images to test on has {called}: give a target that has them"
        )
    splits = [
        "test" if tested else split
        for tested, split in zip(there, images["split"].to_pylist(), strict=True)
    ]
    kept = [tested or split != "test" for tested, split in zip(there, splits, strict=True)]
    if not any(there) or "train" not in splits:
        raise DataError(
            f"{dataset.name}: {sum(there)} images to test on, {splits.count('train')} to train on: "
            "give a target that is none of the data sources"
        )
    changed = with_column(images, "split", splits).filter(kept)
    names = changed.filter(pc.not_equal(changed["split"], "test"))["image"].combine_chunks()
    pairs = dataset.pairs
    inside = pc.and_(
        pc.is_in(pairs["better"], value_set=names), pc.is_in(pairs["worse"], value_set=names)
    )
    tested = replace(dataset, images=changed, pairs=pairs.filter(inside))
    check_labelled(tested, labels)
    return tested
