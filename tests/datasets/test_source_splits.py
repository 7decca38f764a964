from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, Dataset, Split
from rankloop.datasets.part import ImageRow
from rankloop.datasets.splits import (
    assign_splits,
    check_labelled,
    check_no_leak,
    split_by_source,
    within_splits,
)
from rankloop.errors import DataError

NAMES = st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=3, max_size=60)


@given(NAMES, st.integers(0, 5), st.data())
def test_every_source_once_every_split_filled_whatever_the_order(
    sources: set[str], seed: int, data: st.DataObject
) -> None:
    pairs = data.draw(st.lists(st.tuples(*[st.sampled_from(sorted(sources))] * 2), max_size=20))
    split_of = split_by_source(sources, seed=seed, pairs=pairs)
    assert split_of.keys() == sources
    assert set(split_of.values()) == {"train", "validation", "test"}
    shuffled = data.draw(st.permutations(sorted(sources)))
    turned = [(b, a) for a, b in reversed(pairs)]
    assert split_by_source(shuffled, seed=seed, pairs=turned) == split_of
    counts = Counter(split_of.values())
    for split in ("validation", "test"):
        assert abs(counts[split] - 0.15 * len(sources)) <= 1


def test_the_seed_decides() -> None:
    sources = [str(i) for i in range(40)]
    assert split_by_source(sources, seed=0) != split_by_source(sources, seed=1)


def test_a_share_of_zero_leaves_a_split_out() -> None:
    split_of = split_by_source([str(i) for i in range(20)], seed=0, fractions=(0.7, 0.15, 0.0))
    assert Counter(split_of.values()) == {"train": 16, "validation": 4}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_sources(number: int) -> None:
    with pytest.raises(DataError, match=f"{number} sources cannot .* at least 3 different"):
        split_by_source([str(i) for i in range(number)], seed=0)


RING = [(i, (i + k) % 100) for i in range(100) for k in (1, 7)]
HUBS = [(i, j) for i in range(90) for j in range(90, 100)]
SPARSE = [(i, (i * 37 + 11) % 100) for i in range(0, 100, 2)]


@pytest.mark.parametrize(
    ("numbers", "in_train", "in_validation"),
    # By chance 0.49 of the pairs (98, 441, 24) would lie within train and 0.0225 (4, 20, 1) within
    # validation.
    [(RING, 120, 15), (HUBS, 380, 13), (SPARSE, 30, 5)],
)
def test_splits_follow_the_labelled_pairs(
    numbers: list[tuple[int, int]], in_train: int, in_validation: int
) -> None:
    pairs = [(str(a), str(b)) for a, b in numbers]
    for seed in range(5):
        split_of = split_by_source([str(i) for i in range(100)], seed=seed, pairs=pairs)
        kept, across = within_splits(pairs, split_of)
        assert across == len(pairs) - len(kept)
        counts = Counter(split for _, _, split in kept)
        assert counts["train"] >= in_train
        assert min(counts["validation"], counts["test"]) >= in_validation


SPLIT = st.sampled_from(["train", "validation", "test"])


@given(st.data())
def test_assigned_splits_never_leak(data: st.DataObject) -> None:
    number = data.draw(st.integers(8, 30))
    source = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=number, max_size=number))
    given_split = data.draw(st.dictionaries(st.sampled_from("ab"), SPLIT))
    images = [
        # Only some images of the source name its split; the others must follow.
        ImageRow(str(i), f"{s}{i}", source=s, split=given_split.get(s) if i % 2 else None)
        for i, s in enumerate(source)
    ]
    labelled = {image.image for image in images}
    free = {i.source for i in images} - {i.source for i in images if i.split}
    if 0 < len(free) < 3:
        return
    split_of = assign_splits(images, labelled, [], seed=0)
    sides = {(image.source, split_of[image.image]) for image in images}
    assert len(sides) == len(set(source))
    assert all(image.split in (None, split_of[image.image]) for image in images)


def test_given_test_stands_and_the_rest_is_divided_in_two() -> None:
    images = [ImageRow(str(i), str(i), source=str(i)) for i in range(20)]
    images += [ImageRow("t", "t", source="t", split="test")]
    split_of = assign_splits(images, [row.image for row in images], [], seed=0)
    assert split_of.pop("t") == "test"
    assert Counter(split_of.values()) == {"train": 16, "validation": 4}


def test_sources_without_labels_train() -> None:
    images = [ImageRow(str(i), str(i), source=str(i)) for i in range(60)]
    split_of = assign_splits(images, [str(i) for i in range(10)], [], seed=0)
    assert {split_of[str(i)] for i in range(10)} == {"train", "validation", "test"}
    assert {split_of[str(i)] for i in range(10, 60)} == {"train"}


def dataset(
    images: list[tuple[str, str, str, Split]], pairs: list[tuple[str, str, Split]]
) -> Dataset:
    rows = [dict(zip(("image", "uri", "source", "split"), row, strict=True)) for row in images]
    labels = [dict(zip(("better", "worse", "split"), pair, strict=True)) for pair in pairs]
    return Dataset(
        "x",
        pa.Table.from_pylist(rows, schema=IMAGE_SCHEMA),
        pa.Table.from_pylist(labels, schema=PAIR_SCHEMA),
        None,
        None,
        "human",
    )


def test_leaks_are_found_and_named() -> None:
    good = dataset(
        [("a", "1", "s", "train"), ("b", "2", "s", "train"), ("c", "3", "t", "test")],
        [("a", "b", "train")],
    )
    check_no_leak(good)
    with pytest.raises(DataError, match="source 's' is in test and train"):
        check_no_leak(dataset([("a", "1", "s", "train"), ("b", "2", "s", "test")], []))
    with pytest.raises(DataError, match="uri '1' is in test and train"):
        check_no_leak(dataset([("a", "1", "s", "train"), ("b", "1", "t", "test")], []))
    with pytest.raises(DataError, match="the pair 'a', 'c' of train has an image in another"):
        check_no_leak(
            dataset([("a", "1", "s", "train"), ("c", "3", "t", "test")], [("a", "c", "train")])
        )


def test_unlabelled_train_or_validation_is_refused() -> None:
    images: list[tuple[str, str, str, Split]] = [
        ("a", "1", "a", "train"),
        ("b", "2", "b", "train"),
        ("c", "3", "c", "validation"),
        ("d", "4", "d", "validation"),
    ]
    check_labelled(dataset(images, [("a", "b", "train"), ("c", "d", "validation")]))
    with pytest.raises(DataError, match="no labelled pair lies within the training split"):
        check_labelled(dataset(images, [("c", "d", "validation")]))
    with pytest.raises(DataError, match="too few images to judge a model by"):
        check_labelled(dataset(images, [("a", "b", "train")]))
