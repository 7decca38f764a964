import pytest

from rankloop.spreadsheets import defused, is_formula


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_run(start):
    assert is_formula(f"{start}HYPERLINK(1)")


@pytest.mark.parametrize("text", ["", "a=1", " =1", "'=1", "./=1", "photo-1.png"])
def test_what_it_would_not(text):
    assert not is_formula(text)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1", "'=1"),
        ("x;=1+1.png", "x;'=1+1.png"),
        ("x\t=1\n@b;＝c", "x\t'=1\n'@b;'＝c"),
        ("a=1;b-2.png", "a=1;b-2.png"),
    ],
)
def test_nothing_within_is_run_either(text, safe):
    assert defused(text) == safe
