"""Text that spreadsheets take for something else."""

# A cell that begins so is run as a formula; the last four by spreadsheets in East Asian languages.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a cell with this text."""
    return text.startswith(_FORMULA)
