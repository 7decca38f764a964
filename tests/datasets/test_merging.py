from dataclasses import replace

import pytest

from rankloop.datasets.merging import merge, with_sources
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import ConfigError, DataError


def test_one_photograph_in_two_parts_is_one_image_with_both_labels() -> None:
    merged = merge(
        [
            Part(
                [ImageRow("photos/a.jpg", "/photos/a.jpg"), ImageRow("b", "/b")],
                [("photos/a.jpg", "b")],
                counts={"ties": 1},
                skipped=(("x", "why"),),
            ),
            Part(
                [ImageRow("a.jpg", "/photos/a.jpg", score=3.0, source="s", split="test")],
                higher_is_better=True,
                score_name="mos",
                counts={"ties": 2},
            ),
        ]
    )
    assert list(merged.images) == [
        ImageRow("photos/a.jpg", "/photos/a.jpg", None, "s", "test", 3.0),
        ImageRow("b", "/b"),
    ]
    assert list(merged.pairs) == [("photos/a.jpg", "b")]
    assert (merged.higher_is_better, merged.score_name) == (True, "mos")
    assert merged.counts == {"ties": 3}
    assert merged.skipped == (("x", "why"),)


def test_contradictory_labels_of_two_parts_are_a_tie() -> None:
    images = [ImageRow("a", "/a"), ImageRow("b", "/b")]
    merged = merge([Part(images, [("a", "b")]), Part(images, [("b", "a")])])
    assert list(merged.pairs) == []
    assert merged.counts == {"ties": 1}


def test_two_crops_of_one_photograph_are_two_images() -> None:
    first, second = ImageRow("a", "/a", (0, 0, 5, 5)), ImageRow("b", "/a", (1, 0, 5, 5))
    assert len(merge([Part([first]), Part([second])]).images) == 2


def test_contradictory_parts() -> None:
    def scored(score: float, name: str = "mos", higher: bool = True) -> Part:
        return Part([ImageRow("a", "/a", score=score)], (), higher, name)

    with pytest.raises(DataError, match="two images are named 'a', /a and /b: rename one"):
        merge([Part([ImageRow("a", "/a")]), Part([ImageRow("a", "/b")])])
    with pytest.raises(DataError, match=r"'a' has two scores, 1.0 and 2.0"):
        merge([scored(1.0), scored(2.0)])
    with pytest.raises(DataError, match=r"different scales, 'dmos' \(higher is worse\) and 'mos'"):
        merge([scored(1.0), scored(1.0, "dmos", False)])
    with pytest.raises(DataError, match="'a' has two splits, test and train"):
        merge([Part([ImageRow("a", "/a", split=s)]) for s in ("test", "train")])


def test_photographs_of_one_name_in_two_parts_get_their_folder_before_it() -> None:
    rows = [
        Part([ImageRow("train/1.jpg", f"/data/{part}/train/1.jpg")], pairs=())
        for part in ("A", "B", "B/B")
    ]
    later = ImageRow("train/2.jpg", "/data/B/train/2.jpg")
    with_pair = replace(
        rows[1], images=[*rows[1].images, later], pairs=[("train/1.jpg", later.image)]
    )
    merged = merge([rows[0], with_pair, rows[2]])
    assert {row.image: row.uri for row in merged.images} == {
        "train/1.jpg": "/data/A/train/1.jpg",
        "B/train/1.jpg": "/data/B/train/1.jpg",
        "train/2.jpg": "/data/B/train/2.jpg",
        "B/B/train/1.jpg": "/data/B/B/train/1.jpg",
    }
    assert list(merged.pairs) == [("B/train/1.jpg", "train/2.jpg")]
    assert merged.counts == {"images_renamed": 2}


def test_sources_by_pattern_by_reader_and_by_name() -> None:
    rows = [
        ImageRow("Ann_0001.jpg", "/1"),
        ImageRow("Ann_0002.jpg", "/2"),
        ImageRow("other.jpg", "/3"),
        ImageRow("Ann_0003.jpg", "/4", source="known"),
        ImageRow("crop of other", "/3", (0, 0, 5, 5)),
    ]
    found, unmatched = with_sources(rows, r"(.+)_\d{4}\.jpg")
    assert [row.source for row in found] == ["Ann", "Ann", "other.jpg", "known", "other.jpg"]
    assert unmatched == 2
    assert with_sources(rows, None)[1] == 0
    assert with_sources(rows, None)[0][0].source == "Ann_0001.jpg"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "not a regular expression"),
        ("a", "has no group: put parentheses"),
        ("(zzz)", "is found in none of 1 image names"),
    ],
)
def test_useless_patterns(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_sources([ImageRow("a", "/a")], pattern)


def test_pattern_where_readers_know_the_sources() -> None:
    with pytest.raises(ConfigError, match="their readers give sources themselves"):
        with_sources([ImageRow("a", "/a", source="s")], "(a)")
