"""What a pack must hold: it may come from anybody, and readers of lists refuse the same."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rankloop.datasets.dataset import SPLITS
from rankloop.errors import DataError

_REMEDY = "do not trust this pack"


def _is_crop(value: Any) -> bool:
    whole = all(isinstance(number, int) for number in value)
    return whole and len(value) == 4 and min(value[:2]) >= 0 and min(value[2:]) >= 1


def _are_points(value: Any) -> bool:
    return all(
        point is not None and len(point) == 2 and all(map(_is_number, point)) for point in value
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


# Of what is given; any of these columns may be empty.
_ROW: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "crop": (_is_crop, "x, y, width and height"),
    "split": (lambda value: value in SPLITS, f"one of {', '.join(SPLITS)}"),
    "score": (_is_number, "a finite number"),
    "spread": (_is_number, "a finite number"),
    "points": (_are_points, "finite x and y of each"),
    "longest_side": (lambda value: value >= 1, "at least 1"),
}
_DESCRIPTION: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "higher_is_better": (lambda value: value is None or isinstance(value, bool), "true or false"),
    "score_name": (lambda value: value is None or isinstance(value, str), "a name"),
    "counts": (
        lambda value: isinstance(value, dict) and all(type(n) is int for n in value.values()),
        "whole numbers by name",
    ),
    "skipped": (
        lambda value: all(len(one) == 2 and all(isinstance(t, str) for t in one) for one in value),
        "images with their reasons",
    ),
}


def check_description(location: str, description: Mapping[str, Any]) -> None:
    """Refuse a pack whose description cannot be ours.

    Raises:
        DataError: names the file and the value.
        KeyError, TypeError: something is missing, or no list.
    """
    for name, (is_right, what) in _DESCRIPTION.items():
        if not is_right(description[name]):
            raise _wrong(location, name, description[name], what)


def check_rows(location: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a pack whose images cannot be ours.

    Raises:
        DataError: names the file, the row and the value.
    """
    seen: set[str] = set()
    for number, row in enumerate(rows):
        where = f"{location}, row {number}"
        if not row["image"] or row["image"] in seen:
            raise _wrong(where, "image", row["image"], "a name of its own")
        seen.add(row["image"])
        for name, (is_right, what) in _ROW.items():
            if row[name] is not None and not is_right(row[name]):
                raise _wrong(where, name, row[name], what)


def check_pairs(
    location: str, pairs: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Refuse a pack whose pairs are of other images than its own.

    Raises:
        DataError: names the file, the row and the pair.
    """
    names = {row["image"] for row in rows}
    for number, pair in enumerate(pairs):
        if not names.issuperset(pair) or pair[0] == pair[1]:
            what = "two images of the pack"
            raise _wrong(f"{location}, row {number}", "pair", pair, what)


def _wrong(where: str, name: str, value: Any, what: str) -> DataError:
    return DataError(f"{where}: {name} {value!r:.100} is not {what}: {_REMEDY}")
