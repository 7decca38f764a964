"""``ucf_cc_50:PATH``: UCF_CC_50 (Idrees et al. 2013): fifty very dense crowds, head points."""

import re
from collections.abc import Mapping

from rankloop.datasets.layouts.heads import head_points
from rankloop.datasets.layouts.tree import open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import ConfigError, DataError

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
        DataError: no image is there.
    """
    tree = open_tree(path)
    fold = options.get("fold")
    if fold is not None and fold not in map(str, range(1, FOLDS + 1)):
        raise ConfigError(f"ucf_cc_50:{path}: fold={fold!r} is none of 1 to {FOLDS}")
    names = [name for name in tree.below("", (".jpg",)) if _IMAGE.fullmatch(name)]
    rows, skipped = [], []
    for number, name in sorted((_number(name), name) for name in names):
        annotated = f"{name[:-4]}_ann.mat"
        location = tree.uri(annotated)
        if location is None:
            skipped.append((name, f"its points, {annotated}, do not exist"))
            continue
        try:
            points = head_points(variable(read_mat(location), "annPoints", location))
        except DataError as error:
            skipped.append((name, str(error)))
            continue
        tested = fold is not None and (number - 1) * FOLDS // _IMAGES + 1 == int(fold)
        rows.append(
            ImageRow(
                name,
                name,
                split="test" if tested else None,
                score=float(len(points)),
                points=points,
            )
        )
    if not rows:
        raise DataError(f"{tree.folder} holds no n.jpg with n_ann.mat: give the release's folder")
    found = tree.present(rows, tree.folder)
    return Part(found.images, higher_is_better=True, score_name="count", skipped=tuple(skipped))


def _number(name: str) -> int:
    return int(name.rpartition("/")[2][:-4])
