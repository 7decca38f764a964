"""Names and values from outside in texts for people: what a terminal would obey is escaped."""

import re
import sys
import warnings
from typing import Any, TextIO

from rankloop.redaction import without_passwords

# All control characters of a terminal but the ends of lines and tabs, and those of Unicode that end
# lines or turn the direction of writing.
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONGEST_QUOTED = 80
_LONGEST_LINE = 500


def printable(text: str) -> str:
    """Return a text of one or several lines with its control characters escaped."""
    return _CONTROL.sub(_escaped, text)


def in_line(text: str) -> str:
    """Return a text in one line, with its control characters and ends of lines escaped."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def quoted(value: Any) -> str:
    """Return a value of somebody's table in quotes; of a long one, the beginning."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…"


def first_line(error: BaseException) -> str:
    """Return what an error says, or else what it is, in one line, without passwords."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return printable(without_passwords(line))[:_LONGEST_LINE]


def last_line(traceback: str) -> str:
    """Return the line of a traceback that says what was wrong, whole, without passwords."""
    return printable(without_passwords(traceback.strip().rpartition("\n")[2]))


def warn_without_passwords() -> None:
    """Have this process's warnings, whoever gives them, cut and escaped as all other texts are."""
    warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    stream = file or sys.stderr
    # A process without a terminal may have none.
    if stream is not None:
        stream.write(printable(without_passwords(text)))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
