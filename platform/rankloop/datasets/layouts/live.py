"""``live:PATH``: LIVE release 2 (Sheikh et al. 2006): 29 references, 5 types, DMOS."""

from collections.abc import Mapping

from rankloop.datasets.layouts.tree import number, open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError

# Folders in the order of the scores, with the number of images of each, and our names.
_FOLDERS = (
    ("jp2k", 227, "jpeg2000"),
    ("jpeg", 233, "jpeg"),
    ("wn", 174, "gaussian_noise_live"),
    ("gblur", 174, "gaussian_blur"),
    ("fastfading", 174, "fast_fading"),
)
_IMAGES = sum(count for _, count, _ in _FOLDERS)


def read_live(path: str, options: Mapping[str, str]) -> Part:
    """Return the distorted images with their DMOS, about 0 to 110, lower is better.

    The realigned scores (``dmos_realigned.mat``, with spreads) are used where they are there, those
    of ``dmos.mat`` otherwise. Copies of references among the images are left out.

    Args:
        path: folder ``databaserelease2``, with ``jp2k/img1.bmp``… and so on, and
            ``refnames_all.mat``.
        options: none.

    Raises:
        DataError: a file is missing or malformed, or no image is there.
    """
    tree = open_tree(path)
    names_at = tree.require("refnames_all.mat")
    references = variable(read_mat(names_at), "refnames_all", names_at).ravel()
    realigned = tree.uri("dmos_realigned.mat")
    listed_in = realigned or tree.require("dmos.mat")
    content = read_mat(listed_in)
    scores = variable(content, "dmos_new" if realigned else "dmos", listed_in).ravel()
    copies = variable(content, "orgs", listed_in).ravel()
    spreads = variable(content, "dmos_std", listed_in).ravel() if realigned else None
    counted = [len(x) for x in (references, scores, copies, spreads) if x is not None]
    if set(counted) != {_IMAGES}:
        raise DataError(
            f"{tree.folder} lists {counted} references, scores and so on, where release 2 has "
            f"{_IMAGES} each: download it again"
        )
    numbered = [
        (folder, number_in_folder, distortion)
        for folder, count, distortion in _FOLDERS
        for number_in_folder in range(1, count + 1)
    ]
    rows = [
        ImageRow(
            f"{folder}/img{number_in_folder}.bmp",
            f"{folder}/img{number_in_folder}.bmp",
            source=str(references[i].item()).lower(),
            score=number(scores[i], f"{listed_in}, {folder}/img{number_in_folder}"),
            spread=None if spreads is None else float(spreads[i]),
            distortion=distortion,
        )
        for i, (folder, number_in_folder, distortion) in enumerate(numbered)
        if not copies[i]
    ]
    found = tree.present(rows, listed_in)
    return Part(found.images, higher_is_better=False, score_name="DMOS", skipped=found.skipped)
