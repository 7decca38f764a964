from hypothesis import given
from hypothesis import strategies as st

from rankloop.datasets.votes import Vote, majority

IMAGES = "abc"


@st.composite
def votes(draw: st.DrawFn) -> Vote:
    a, b = draw(st.permutations(IMAGES))[:2]
    return Vote(
        a, b, draw(st.sampled_from([a, b, None])), draw(st.sampled_from([None, "p", "q", "r"]))
    )


def slow_majority(cast: list[Vote]) -> tuple[set[tuple[str, str]], int]:
    labels, ties = set(), 0
    for a, b in [("a", "b"), ("a", "c"), ("b", "c")]:
        about = [v for v in cast if {v.image_a, v.image_b} == {a, b}]
        if not about:
            continue
        counted = []
        for i, vote in enumerate(about):
            later = [v for v in about[i + 1 :] if v.annotator == vote.annotator]
            if vote.annotator is None or not later:
                counted.append(vote.better)
        for_a = sum(1 for x in counted if x == a)
        for_b = sum(1 for x in counted if x == b)
        if for_a > for_b:
            labels.add((a, b))
        elif for_b > for_a:
            labels.add((b, a))
        else:
            ties += 1
    return labels, ties


@given(st.lists(votes(), max_size=25))
def test_majority_agrees_with_a_slow_loop(cast: list[Vote]) -> None:
    labels, ties = majority(cast)
    assert len(labels) == len(set(labels))
    assert (set(labels), ties) == slow_majority(cast)


@given(st.lists(votes(), max_size=15))
def test_sending_all_named_votes_again_changes_nothing(cast: list[Vote]) -> None:
    named = [vote for vote in cast if vote.annotator is not None]
    assert majority(named) == majority(named + named)


def test_three_annotators_of_the_paper() -> None:
    cast = [Vote("a", "b", "a", "1"), Vote("b", "a", "a", "2"), Vote("a", "b", "b", "3")]
    assert majority(cast) == ([("a", "b")], 0)
