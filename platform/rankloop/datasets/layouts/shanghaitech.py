"""``shanghaitech:PATH``: ShanghaiTech part A or B (Zhang et al. 2016): crowds with head points."""

import re
from collections.abc import Mapping

import numpy as np

from rankloop.datasets.dataset import Split
from rankloop.datasets.layouts.heads import annotated_too, crowd_part, head_points, points_file
from rankloop.datasets.layouts.tree import open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

_IMAGE = re.compile(r"(.*)images/IMG_(\d+)\.jpg", re.IGNORECASE)
_POINTS = re.compile(r"(.*)ground[-_]truth/GT_IMG_(\d+)\.mat", re.IGNORECASE)
_GROUND_TRUTH = ("ground-truth", "ground_truth")


def read_shanghaitech(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with head points and counts, split as released.

    Args:
        path: folder of a part, with ``train_data/`` and ``test_data/``, each with ``images/`` and
            ``ground-truth/`` (or ``ground_truth/``).
        options: none.

    Raises:
        DataError: no image is there.
    """
    tree = open_tree(path)
    present = [name for name in tree.below("", (".jpg",)) if _IMAGE.fullmatch(name)]
    annotated = filter(None, map(_POINTS.fullmatch, tree.below("", (".mat",))))

    def row(name: str) -> ImageRow:
        match = _IMAGE.fullmatch(name)
        assert match is not None
        candidates = [f"{match[1]}{folder}/GT_IMG_{match[2]}.mat" for folder in _GROUND_TRUTH]
        points = head_points(_location(points_file(tree, *candidates)))
        # Training images may become validation; test images stay what they are.
        split: Split | None = "test" if "test" in match[1].lower() else None
        return ImageRow(name, name, split=split, score=float(len(points)), points=points)

    return crowd_part(
        tree,
        annotated_too(tree, present, (f"{m[1]}images/IMG_{m[2]}.jpg" for m in annotated)),
        row,
        "images/IMG_n.jpg with points: give the folder of part A or B",
    )


def _location(location: str) -> np.ndarray:
    info = variable(read_mat(location), "image_info", location)
    try:
        points: np.ndarray = info[0, 0][0, 0]["location"]
    except (IndexError, ValueError, TypeError) as error:
        raise DataError(f"{location}: image_info holds no points; download it again") from error
    return points
