"""Names and values from outside, as they are shown."""

import pytest

from rankloop.errors import DataError
from rankloop.shown import in_line, printable, quoted


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]0;owned\x07\x1b[2Ja.png", r"\x1b]0;owned\x07\x1b[2Ja.png"),
        ("a\rb\x9bc\x7f", r"a\rb\x9bc\x7f"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("a\nerror: b\t", r"a\nerror: b\t"),
        ("写真 ünï.png", "写真 ünï.png"),
    ],
)
def test_no_name_moves_the_cursor(name, shown):
    assert in_line(name) == shown
    assert printable(name) == shown.replace(r"\n", "\n").replace(r"\t", "\t")
    assert str(DataError(f"{name} is no image")) == f"{printable(name)} is no image"


def test_of_long_values_the_beginning_is_quoted():
    assert quoted("a") == "'a'"
    assert quoted("1" * 100_000) == f"'{'1' * 79}…"
