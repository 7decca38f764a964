"""``tid2013:PATH``: TID2013 (Ponomarenko et al. 2013): 25 references, 24 types, 5 levels, MOS."""

import re
from collections.abc import Mapping

from rankloop.datasets.layouts.tree import is_official, number, open_tree, read_table
from rankloop.datasets.part import ImageRow, Part
from rankloop.distortions import TID2013
from rankloop.errors import DataError

# RankIQA's published split: five references to test on, and i25, which is artificial, left out.
TEST_REFERENCES = frozenset({"i04", "i11", "i13", "i17", "i19"})
ARTIFICIAL_REFERENCE = "i25"

_NAME = re.compile(r"(i\d\d)_(\d\d)_(\d)\.bmp", re.IGNORECASE)
# Types whose levels go in two directions, of which TID2013 names neither.
_BOTH_DIRECTIONS = {16: "mean_shift", 17: "contrast_change"}
# Those, and the blocks of #15, which are the fainter the more there are: opinions rise with them.
_NO_STRENGTHS = {15, *_BOTH_DIRECTIONS}


def read_tid2013(path: str, options: Mapping[str, str]) -> Part:
    """Return the distorted images with their MOS, 0 to 9, higher is better.

    The spread is what ``mos_std.txt`` holds, by its size the standard error of the MOS. Types 15,
    16 and 17 have no level, since theirs are no strengths.

    Args:
        path: folder of the release, with ``mos_with_names.txt``, ``distorted_images/`` and, if
            there, ``mos_std.txt`` (in the order of the former).
        options: ``split=official``: RankIQA's published references to test on, without i25.

    Raises:
        DataError: a list is missing or malformed, or no image is there.
    """
    official = is_official(options)
    tree = open_tree(path)
    listed_in = tree.require("mos_with_names.txt")
    lines = read_table(listed_in, " ")
    spreads_at = tree.uri("mos_std.txt")
    spreads = [line[0] for line in read_table(spreads_at, " ")] if spreads_at else None
    if spreads is not None and len(spreads) != len(lines):
        raise DataError(
            f"{spreads_at} has {len(spreads)} lines and {listed_in} {len(lines)}: download both "
            "again"
        )
    rows = []
    for i, line in enumerate(lines):
        where = f"{listed_in}, line {i + 1}"
        match = _NAME.fullmatch(line[-1])
        if len(line) != 2 or match is None or int(match[2]) not in TID2013:
            raise DataError(f"{where}: {' '.join(line)!r} is not 'MOS iRR_TT_L.bmp'")
        reference, kind = match[1].lower(), int(match[2])
        if official and reference == ARTIFICIAL_REFERENCE:
            continue
        rows.append(
            ImageRow(
                line[1].lower(),
                f"distorted_images/{line[1]}",
                source=reference,
                split="test" if official and reference in TEST_REFERENCES else None,
                score=number(line[0], where),
                spread=None if spreads is None else number(spreads[i], str(spreads_at)),
                distortion=_BOTH_DIRECTIONS.get(kind) or TID2013[kind][0],
                level=None if kind in _NO_STRENGTHS else int(match[3]),
            )
        )
    found = tree.present(rows, listed_in)
    return Part(found.images, higher_is_better=True, score_name="MOS", skipped=found.skipped)
