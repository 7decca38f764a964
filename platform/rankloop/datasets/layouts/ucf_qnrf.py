"""``ucf_qnrf:PATH``: UCF-QNRF (Idrees et al. 2018): 1,535 large crowds, head points."""

import re
from collections.abc import Mapping

from rankloop.datasets.layouts.heads import annotated_too, crowd_part, head_points, points_file
from rankloop.datasets.layouts.tree import open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part

# TPAMI paper, section 6.2: larger photographs are shrunk.
LONGEST_SIDE = 1024
_IMAGE = re.compile(r"(.*)(train|test)/img_\d+\.jpg", re.IGNORECASE)


def read_ucf_qnrf(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with head points and counts, split as released.

    They are loaded with a longest side of 1024 pixels; points stay in pixels of the file.

    Args:
        path: folder with ``Train/img_0001.jpg`` and ``Train/img_0001_ann.mat``…, and ``Test/``.
        options: none.

    Raises:
        DataError: no photograph is there.
    """
    tree = open_tree(path)
    annotated = (f"{name[: -len('_ann.mat')]}.jpg" for name in tree.below("", ("_ann.mat",)))
    names = annotated_too(tree, tree.below("", (".jpg",)), annotated)

    def row(name: str) -> ImageRow:
        match = _IMAGE.fullmatch(name)
        assert match is not None
        location = points_file(tree, f"{name[:-4]}_ann.mat")
        points = head_points(variable(read_mat(location), "annPoints", location))
        return ImageRow(
            name,
            name,
            split="test" if match[2].lower() == "test" else None,
            score=float(len(points)),
            points=points,
            longest_side=LONGEST_SIDE,
        )

    return crowd_part(
        tree,
        (name for name in names if _IMAGE.fullmatch(name)),
        row,
        "Train/img_n.jpg with points: give its folder",
    )
