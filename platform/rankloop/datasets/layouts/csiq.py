"""``csiq:PATH``: CSIQ (Larson, Chandler 2010): 30 references, 6 types, DMOS."""

from collections.abc import Mapping

from rankloop.datasets.layouts.tree import columns_of, number, open_tree, read_sheet
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

_SHEET = "all_by_image"
# Type in the sheet, without spaces, to the folder, the word in file names, and our name.
_TYPES = {
    "noise": ("awgn", "AWGN", "gaussian_noise"),
    "blur": ("blur", "BLUR", "gaussian_blur"),
    "contrast": ("contrast", "contrast", "contrast_decrease"),
    "fnoise": ("fnoise", "fnoise", "pink noise"),
    "jpeg": ("jpeg", "JPEG", "jpeg"),
    "jpeg2000": ("jpeg2000", "jpeg2000", "jpeg2000"),
}


def read_csiq(path: str, options: Mapping[str, str]) -> Part:
    """Return the distorted images with their DMOS, 0 to 1, lower is better.

    Args:
        path: folder of the release, with ``csiq.DMOS.xlsx`` and ``dst_imgs/``.
        options: none.

    Raises:
        DataError: the sheet is missing or malformed, or no image is there.
    """
    tree = open_tree(path)
    listed_in = tree.require("csiq.DMOS.xlsx")
    names = ("image", "dst_type", "dst_lev", "dmos_std", "dmos")
    rows = []
    for image, kind, level, spread, score in columns_of(
        read_sheet(listed_in, _SHEET), names, listed_in
    ):
        # The one reference that is named by a number is a number in the sheet.
        reference = str(int(image)) if isinstance(image, int | float) else str(image).strip()
        where = f"{listed_in}, image {reference}"
        if str(kind).replace(" ", "") not in _TYPES:
            raise DataError(f"{where}: {kind!r} is none of the types {', '.join(_TYPES)}")
        folder, word, distortion = _TYPES[str(kind).replace(" ", "")]
        number_of_level = int(number(level, where))
        name = f"{folder}/{reference}.{word}.{number_of_level}.png"
        rows.append(
            ImageRow(
                name,
                f"dst_imgs/{name}",
                source=reference,
                score=number(score, where),
                spread=number(spread, where),
                distortion=distortion,
                level=number_of_level,
            )
        )
    found = tree.present(rows, listed_in)
    return Part(found.images, higher_is_better=False, score_name="DMOS", skipped=found.skipped)
