"""Photographs with discs: seeded, named synthetic, and countable."""

import numpy as np

from rankloop.datasets.discs import ANNOTATOR, SIDE, read_discs
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.samples import read_samples
from rankloop.images import decode, read_bytes


def test_every_image_shows_a_disc_at_each_of_its_points():
    part = read_discs(seed=0)
    assert len(part.images) == 3 * 17
    assert len({row.score for row in part.images}) > 10
    for row in part.images[:6]:
        image = decode(read_bytes(row.uri))
        assert image.shape == (SIDE, SIDE, 3)
        assert row.score == len(row.points) > 0
        x, y = np.rint(row.points[-1]).astype(int)
        # The last one drawn is covered by no other.
        assert image[y, x].min() >= 150
    assert part == read_discs(seed=0)
    assert part != read_discs(seed=1)


def test_splits_are_by_photograph_and_numbers_are_named_synthetic():
    dataset = open_dataset(["discs"], seed=0, learns_from="points")
    assert dataset.annotator == ANNOTATOR
    assert dataset.is_synthetic
    assert dataset.higher_is_better
    samples = {row.image: row.split for row in read_samples(crops_per_photo=3, seed=0).images}
    splits = dict(
        zip(dataset.images["image"].to_pylist(), dataset.images["split"].to_pylist(), strict=True)
    )
    assert splits == samples
