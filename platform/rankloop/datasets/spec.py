"""A data source as named on the command line: ``READER:PATH?option=value&option=value``."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from rankloop.errors import ConfigError
from rankloop.redaction import without_passwords

_OPTIONS = re.compile(r"\?\w+=")


@dataclass(frozen=True)
class Spec:
    """One parsed data source.

    Attributes:
        text: as typed.
        reader: name of the reader.
        path: what follows the colon, without the options; empty for ``samples``.
        options: what follows the first ``?``.
    """

    text: str
    reader: str
    path: str
    options: Mapping[str, str]

    @property
    def shown(self) -> str:
        """As typed, if that holds no password, however it is encoded; else without it, decoded."""
        path = without_passwords(self.path)
        options = {name: without_passwords(value) for name, value in self.options.items()}
        if path == self.path and options == self.options:
            return without_passwords(self.text)
        query = "&".join(f"{name}={value}" for name, value in options.items())
        mark = "" if not query else "&" if "?" in path else "?"
        return f"{self.reader}:{path}{mark}{query}"


def parse_spec(text: str, options_of: Mapping[str, frozenset[str]]) -> Spec:
    """Return the parts of a data source's name.

    Args:
        text: e.g. ``"csv:scores.csv?score=mos&higher_is_better=true"``. Values are percent-decoded;
            a plus sign stays a plus sign.
        options_of: the options that each known reader takes. The path of a reader that takes none
            may hold question marks.

    Raises:
        ConfigError: unknown reader or option (naming the nearest), or an option without a value.
    """
    reader, _, path = text.partition(":")
    if reader not in options_of:
        if os.path.exists(text):
            likely = "folder" if os.path.isdir(text) else "csv"
            raise ConfigError(
                f"data source {text!r} does not say how to read it: write {likely}:{text}, or "
                f"another of {', '.join(sorted(options_of))}"
            )
        raise ConfigError(
            f"unknown reader {reader!r} in data source {text!r}: "
            f"{_nearest(reader, options_of)} (write READER:PATH)"
        )
    known = options_of[reader]
    if not known:
        if _OPTIONS.search(path) and "://" not in path and not os.path.exists(path):
            raise ConfigError(f"{text!r}: {reader} takes no options, and there is no such path")
        return Spec(text, reader, path, {})
    path, _, query = path.partition("?")
    try:
        # A plus sign would mean a space in a web form; in a path it is a plus sign.
        pairs = parse_qsl(
            query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query)
        )
    except ValueError as error:
        raise ConfigError(
            f"cannot read the options {query!r} of {text!r}: write ?name=value&name=value"
        ) from error
    ours = []
    for name, value in pairs:
        if name not in known and "://" in path and not _close(name, known):
            # Of the file system behind the URI.
            path += f"{'&' if '?' in path else '?'}{name}={quote(value, safe=':/,')}"
            continue
        ours.append((name, value))
        if name not in known:
            raise ConfigError(f"unknown option {name!r} in {text!r}: {_nearest(name, known)}")
        if not value:
            raise ConfigError(f"option {name!r} in {text!r} has no value: write {name}=VALUE")
    return Spec(text, reader, path, dict(ours))


def _close(name: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.6)


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    nearest = f"the nearest is {near[0]!r}; " if near else ""
    return f"{nearest}known are {', '.join(names)}"
