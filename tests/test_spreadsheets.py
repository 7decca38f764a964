import pytest

from rankloop.spreadsheets import is_formula


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_run(start):
    assert is_formula(f"{start}HYPERLINK(1)")


@pytest.mark.parametrize("text", ["", "a=1", " =1", "'=1", "./=1", "photo-1.png"])
def test_what_it_would_not(text):
    assert not is_formula(text)
