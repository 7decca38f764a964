import pytest

from rankloop.active.forms import FORMS


def test_answers_are_numbers():
    assert FORMS["scores"].value(["3.5"]) == (3.5,)
    assert FORMS["scores"].value([4]) == (4.0,)
    votes = [FORMS["pairs"].value([text]) for text in ("a", " B ", "Tie")]
    assert votes == [(1.0,), (-1.0,), (0.0,)]
    assert FORMS["points"].value(["12.5", 3]) == (12.5, 3.0)
    assert FORMS["points"].value(["None", ""]) == ()


@pytest.mark.parametrize(
    ("labels", "cells", "reason"),
    [
        ("scores", ["good"], "score 'good' is not a number"),
        ("scores", ["nan"], "score 'nan' is not a number"),
        ("scores", [None], "score None is not a number"),
        ("pairs", ["left"], "better 'left' is none of a, b and tie"),
        ("pairs", [1], "better 1 is none of a, b and tie"),
        ("points", ["12", ""], "y '' is not a number"),
        ("scores", ["1" * 100_000], "^score '1{79}… is not a number$"),
        ("pairs", ["a" * 100_000], "^better 'a{79}… is none of a, b and tie$"),
        ("points", ["here", "12"], "x 'here' is not a number"),
    ],
)
def test_what_is_no_answer_says_so(labels, cells, reason):
    with pytest.raises(ValueError, match=reason):
        FORMS[labels].value(cells)
