"""Names and values from outside, as they are shown."""

import pytest

from rankloop.errors import DataError
from rankloop.shown import first_line, in_line, last_line, printable, quoted


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


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OSError("\n s3://me:secret@host/a is gone\nDetail: b"), "s3://host/a is gone"),
        (ValueError("\x1b[2Ja"), r"\x1b[2Ja"),
        (ValueError("a" * 1000), "a" * 500),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_an_error_says_is_one_line_without_passwords(error, shown):
    assert first_line(error) == shown


@pytest.mark.parametrize(
    ("traceback", "shown"),
    [
        (
            "Traceback (most recent call last):\n  a\nOSError: http://me:secret@host/ \x1b[2J\n",
            r"OSError: http://host/ \x1b[2J",
        ),
        # Of a configuration that was refused, the end says why.
        (f"a\n{'b' * 1000} c", f"{'b' * 1000} c"),
        (" \n", ""),
    ],
)
def test_of_a_traceback_the_last_line_says_what_was_wrong(traceback, shown):
    assert last_line(traceback) == shown
