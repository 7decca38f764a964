"""``clive:PATH``: LIVE In the Wild Challenge (Ghadiyaram, Bovik 2016): 1,169 photographs, MOS."""

from collections.abc import Mapping

from rankloop.datasets.layouts.tree import number, open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

# Shown to annotators for training, and in a folder of their own; their scores are no results.
_TRAINING_IMAGES = 7


def read_clive(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with their MOS, 0 to 100, higher is better.

    Args:
        path: folder of the release, with ``Images/`` and ``Data/*_release.mat``.
        options: none.

    Raises:
        DataError: a file is missing or malformed, or no image is there.
    """
    tree = open_tree(path)
    columns = []
    for name in ("AllImages_release", "AllMOS_release", "AllStdDev_release"):
        location = tree.require(f"Data/{name}.mat")
        columns.append(variable(read_mat(location), name, location).ravel())
    names, scores, spreads = columns
    if not len(names) == len(scores) == len(spreads):
        raise DataError(
            f"{tree.folder}/Data: {len(names)} images, {len(scores)} scores and {len(spreads)} "
            "deviations: download the release again"
        )
    rows = [
        ImageRow(
            str(name[0]),
            f"Images/{name[0]}",
            score=number(score, str(name[0])),
            spread=float(spread),
        )
        for name, score, spread in zip(names, scores, spreads, strict=True)
    ]
    found = tree.present(rows[_TRAINING_IMAGES:], tree.require("Data/AllImages_release.mat"))
    return Part(found.images, higher_is_better=True, score_name="MOS", skipped=found.skipped)
