"""``ucf_cc_50:PATH``: UCF_CC_50 (Idrees et al. 2013): fifty very dense crowds, head points."""

import re
from collections.abc import Mapping

from rankloop.datasets.dataset import Split
from rankloop.datasets.layouts.heads import (
    annotated_too,
    crowd_part,
    head_points,
    points_file,
    tested_part,
)
from rankloop.datasets.layouts.tree import open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import ConfigError

FOLDS = 5
_IMAGES = 50
_IMAGE = re.compile(r"(?:.*/)?(\d+)\.jpg", re.IGNORECASE)


def read_ucf_cc_50(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with head points and counts.

    Args:
        path: folder with ``1.jpg`` and ``1_ann.mat`` to ``50.jpg`` and ``50_ann.mat``.
        options: ``fold=1`` to ``fold=5``: test on images 1 to 10, 11 to 20 and so on.

    Raises:
        ConfigError: no such fold.
        DataError: no image is there, or none that the fold tests on.
    """
    tree = open_tree(path)
    fold = options.get("fold")
    if fold is not None and fold not in map(str, range(1, FOLDS + 1)):
        raise ConfigError(f"ucf_cc_50:{path}: fold={fold!r} is none of 1 to {FOLDS}")
    annotated = (f"{name[: -len('_ann.mat')]}.jpg" for name in tree.below("", ("_ann.mat",)))
    names = annotated_too(tree, tree.below("", (".jpg",)), annotated)
    names = [name for name in names if _IMAGE.fullmatch(name)]

    def row(name: str) -> ImageRow:
        location = points_file(tree, f"{name[:-4]}_ann.mat")
        points = head_points(variable(read_mat(location), "annPoints", location))
        tested = fold is not None and (_number(name) - 1) * FOLDS // _IMAGES + 1 == int(fold)
        split: Split | None = "test" if tested else None
        return ImageRow(name, name, split=split, score=float(len(points)), points=points)

    part = crowd_part(
        tree, sorted(names, key=_number), row, "n.jpg with n_ann.mat: give the release's folder"
    )
    if fold is None:
        return part
    last = int(fold) * _IMAGES // FOLDS
    tested = f"{last - _IMAGES // FOLDS + 1}.jpg to {last}.jpg"
    return tested_part(part, f"ucf_cc_50:{path}?fold={fold}", tested)


def _number(name: str) -> int:
    return int(name.rpartition("/")[2][:-4])
