from collections import Counter

import pytest

from rankloop.datasets import samples
from rankloop.datasets.samples import PHOTOGRAPHS, read_samples
from rankloop.images import decode, read_bytes


def test_crops_are_seeded_squares_inside_their_photograph() -> None:
    part = read_samples(crops_per_photo=5, seed=0)
    assert len(part.images) == 5 * 17
    assert len({row.image for row in part.images}) == len(part.images)
    assert len({row.source for row in part.images}) == 16
    for row in part.images:
        assert row.crop is not None
        height, width, _ = decode(read_bytes(row.uri)).shape
        x, y, side, other_side = row.crop
        assert side == other_side
        assert 96 <= side <= 192
        assert 0 <= x <= width - side
        assert 0 <= y <= height - side
    assert part == read_samples(crops_per_photo=5, seed=0)
    assert part != read_samples(crops_per_photo=5, seed=1)


def test_more_crops_begin_with_the_same_ones() -> None:
    few = {row.image: row for row in read_samples(crops_per_photo=2, seed=0).images}
    many = {row.image: row for row in read_samples(crops_per_photo=4, seed=0).images}
    assert few.items() <= many.items()


def test_both_motorcycles_are_one_source_and_the_blurred_clock_is_not_there() -> None:
    part = read_samples(crops_per_photo=1, seed=0)
    assert Counter(row.source for row in part.images)["motorcycle_left"] == 2
    assert not any("clock" in row.uri for row in part.images)


def test_crops_cover_their_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PHOTOGRAPHS", PHOTOGRAPHS[:1])
    part = read_samples(crops_per_photo=600, seed=0)
    assert {row.crop[2] for row in part.images if row.crop} >= {96, 192}


def test_photographs_as_they_are() -> None:
    part = read_samples(crops_per_photo=0, seed=0)
    assert len(part.images) == 17
    assert {row.crop for row in part.images} == {None}
    splits = {row.source: row.split for row in read_samples(crops_per_photo=2, seed=0).images}
    assert {row.source: row.split for row in part.images} == splits
