"""``kadid10k:PATH``: KADID-10k (Lin et al. 2019): 81 references, 25 types, 5 levels, MOS."""

import re
from collections.abc import Mapping

from rankloop.datasets.layouts.tree import number, open_tree, read_table
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

_NAME = re.compile(r"(I\d\d)_(\d\d)_(\d\d)\.png", re.IGNORECASE)
# Types 1 to 25: our names where we have the same distortion, else the data set's own words.
TYPES = (
    "gaussian_blur",
    "lens blur",
    "motion blur",
    "color diffusion",
    "color shift",
    "color quantization",
    "color saturation 1",
    "color saturation 2",
    "jpeg2000",
    "jpeg",
    "gaussian_noise",
    "color_noise",
    "impulse_noise",
    "multiplicative_noise",
    "denoising",
    "brighten",
    "darken",
    "mean shift",
    "jitter",
    "non-eccentricity patch",
    "pixelate",
    "quantization",
    "color block",
    "high sharpen",
    "contrast change",
)
# Mean shift and contrast change: the middle level changes least.
_NO_STRENGTHS = {18, 25}


def read_kadid10k(path: str, options: Mapping[str, str]) -> Part:
    """Return the distorted images with their MOS, 1 to 5, higher is better.

    The release calls its column ``dmos`` although higher is better, and the standard deviation's
    ``var``. Types 18 and 25 have no level: theirs go in two directions.

    Args:
        path: folder of the release, with ``dmos.csv`` and ``images/``.
        options: none.

    Raises:
        DataError: the list is missing or malformed, or no image is there.
    """
    tree = open_tree(path)
    listed_in = tree.require("dmos.csv")
    header, *lines = read_table(listed_in) or [[]]
    if header[:4] != ["dist_img", "ref_img", "dmos", "var"]:
        raise DataError(f"{listed_in}: the columns are not dist_img, ref_img, dmos, var")
    rows = []
    for i, line in enumerate(lines):
        where = f"{listed_in}, line {i + 2}"
        match = _NAME.fullmatch(line[0])
        if match is None or len(line) < 4 or not 1 <= int(match[2]) <= len(TYPES):
            raise DataError(f"{where}: {','.join(line)!r} is not 'Irr_tt_ll.png,Irr.png,MOS,var'")
        rows.append(
            ImageRow(
                line[0],
                f"images/{line[0]}",
                source=match[1].upper(),
                score=number(line[2], where),
                spread=number(line[3], where),
                distortion=TYPES[int(match[2]) - 1],
                level=None if int(match[2]) in _NO_STRENGTHS else int(match[3]),
            )
        )
    found = tree.present(rows, listed_in)
    return Part(found.images, higher_is_better=True, score_name="MOS", skipped=found.skipped)
