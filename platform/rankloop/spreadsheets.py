"""Text that spreadsheets take for something else."""

import re

# A cell that begins so is run as a formula; the last four by spreadsheets in East Asian languages.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

_BEGINNING = re.compile(rf"(?:^|(?<=[;\t\r\n]))(?=[{re.escape(''.join(_FORMULA))}])")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a cell with this text."""
    return text.startswith(_FORMULA)


def defused(text: str) -> str:
    """Return text with ``'`` before all that a spreadsheet would run.

    Also within: where its system writes decimals with commas, a spreadsheet begins another cell at
    a semicolon, wherever a comma has ended the quotes around it.
    """
    return _BEGINNING.sub("'", text)
