"""``waterloo:PATH`` and ``places2:PATH``: photographs without labels, to make ranked sets of."""

import re
from collections.abc import Mapping

from rankloop.datasets.layouts.tree import open_tree
from rankloop.datasets.locations import join
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

_WATERLOO = re.compile(r"(?:.*/)?(\d{5})\.bmp", re.IGNORECASE)
_PLACES2 = re.compile(r"(?:.*/)?(?:[a-z]/.+|train/.+|val_.+|test_.+|val/.+)\.jpg", re.IGNORECASE)


def read_waterloo(path: str, options: Mapping[str, str]) -> Part:
    """Return the 4,744 pristine photographs of the Waterloo Exploration Database (Ma et al. 2017).

    Args:
        path: folder of the release, with ``pristine_images/00001.bmp``….
        options: none.

    Raises:
        DataError: no photograph is there.
    """
    tree = open_tree(path)
    inside = "pristine_images" if tree.below("pristine_images", (".bmp",)) else ""
    names = [name for name in tree.below(inside, (".bmp",)) if _WATERLOO.fullmatch(name)]
    return _pool(names, tree.folder, path, "pristine_images/00001.bmp")


def read_places2(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs of Places2 (Zhou et al. 2017): training, validation or test trees.

    Args:
        path: folder such as ``data_256`` (``a/airfield/00000001.jpg``…) or ``val_256``, or the
            ``train/`` and ``val/`` trees.
        options: none.

    Raises:
        DataError: no photograph is there.
    """
    tree = open_tree(path)
    names = [
        name
        for name in tree.below("", (".jpg",))
        if _PLACES2.fullmatch(name) or name.lower().startswith("places365_")
    ]
    return _pool(names, tree.folder, path, "a/airfield/00000001.jpg")


def _pool(names: list[str], folder: str, path: str, example: str) -> Part:
    if not names:
        raise DataError(f"{path} holds no photograph such as {example}: give its folder")
    return Part([ImageRow(name, join(folder, name)) for name in names])
