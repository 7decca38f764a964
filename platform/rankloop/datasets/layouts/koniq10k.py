"""``koniq10k:PATH``: KonIQ-10k (Hosu et al. 2020): 10,073 photographs, MOS."""

from collections.abc import Mapping

from rankloop.datasets.dataset import Split
from rankloop.datasets.layouts.tree import columns_of, is_official, number, open_tree, read_table
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

_SPLITS: Mapping[str, Split] = {
    "training": "train",
    "validation": "validation",
    "test": "test",
}
_WITH_SETS = "koniq10k_distributions_sets.csv"
_WITHOUT_SETS = "koniq10k_scores_and_distributions.csv"


def read_koniq10k(path: str, options: Mapping[str, str]) -> Part:
    """Return the photographs with their MOS, higher is better.

    The MOS is on the scale of its file: 0 to 100 in ``koniq10k_distributions_sets.csv``, which also
    gives the official split, 1 to 5 in ``koniq10k_scores_and_distributions.csv``. The spread is on
    the scale 1 to 5 in both, and left out where that is not the scale of the MOS.

    Args:
        path: folder with one of these files, and the photographs in ``1024x768/`` or ``512x384/``.
        options: ``split=official``: the split of the former file; without it, by photograph.

    Raises:
        DataError: the file is missing or malformed, has no split where one is wanted, or no
            photograph is there.
    """
    tree = open_tree(path)
    official = is_official(options)
    listed_in = tree.require(_WITH_SETS) if official else tree.require(_WITH_SETS, _WITHOUT_SETS)
    with_sets = listed_in.lower().endswith(_WITH_SETS)
    names = ["image_name", "MOS", "set" if with_sets else "SD"]
    folder = "1024x768" if tree.below("1024x768", (".jpg",)) else "512x384"
    rows = []
    for name, score, last in columns_of(read_table(listed_in), names, listed_in):
        where = f"{listed_in}, {name}"
        if official and last not in _SPLITS:
            raise DataError(f"{where}: set {last!r} is none of {', '.join(_SPLITS)}")
        rows.append(
            ImageRow(
                name,
                f"{folder}/{name}",
                split=_SPLITS[last] if official else None,
                score=number(score, where),
                spread=None if with_sets else number(last, where),
            )
        )
    found = tree.present(rows, listed_in)
    return Part(found.images, higher_is_better=True, score_name="MOS", skipped=found.skipped)
