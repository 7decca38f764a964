"""``mlive:PATH``: LIVE Multiply Distorted (Jayaraman et al. 2012): two crossed sets, DMOS."""

import re
from collections.abc import Mapping

from rankloop.datasets.layouts.tree import number, open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import ConfigError, DataError

_PARTS = (("Part 1", "blurjpeg", "jpeg"), ("Part 2", "blurnoise", "noise"))
_NAME = re.compile(r"([^_]+)(?:_blur([1-3]))?(?:_(?:jpeg|noise)([1-3]))?\.bmp", re.IGNORECASE)


def read_mlive(path: str, options: Mapping[str, str]) -> Part:
    """Return the distorted images of both parts with their DMOS, 0 to 100, lower is better.

    ``distortion`` is of the form ``blur1_x_jpeg3``, where 0 stands for none of it; there is no
    single level. The images with blur alone are in both parts, with different scores.

    Args:
        path: folder of the release that holds ``Part 1/`` and ``Part 2/``.
        options: ``part=1`` or ``part=2``: that one alone.

    Raises:
        DataError: a file is missing or malformed, or no image is there.
    """
    tree = open_tree(path)
    if options.get("part", "1") not in ("1", "2"):
        raise ConfigError(f"mlive:{path}: part={options['part']!r} is neither 1 nor 2")
    rows = []
    for part, (folder, images, second) in enumerate(_PARTS, 1):
        if options.get("part", str(part)) != str(part):
            continue
        # Some unpack it without the space.
        folder = folder if tree.below(folder, (".mat",)) else folder.replace(" ", "")
        list_at = tree.require(f"{folder}/Imagelists.mat")
        scores_at = tree.require(f"{folder}/Scores.mat")
        names = variable(read_mat(list_at), "distimgs", list_at).ravel()
        scores = variable(read_mat(scores_at), "DMOSscores", scores_at).ravel()
        if len(names) != len(scores):
            raise DataError(f"{tree.folder}/{folder}: {len(names)} images, {len(scores)} scores")
        for name, score in zip(names, scores, strict=True):
            file = str(name.item())
            match = _NAME.fullmatch(file)
            if match is None:
                raise DataError(f"{list_at}: {file!r} is not 'name_blurB_{second}J.bmp'")
            blur, other = int(match[2] or 0), int(match[3] or 0)
            rows.append(
                ImageRow(
                    f"{images}/{file}",
                    f"{folder}/{images}/{file}",
                    source=match[1].lower(),
                    score=number(score, f"{scores_at}, {file}"),
                    distortion=f"blur{blur}_x_{second}{other}",
                )
            )
    found = tree.present(rows, tree.folder)
    return Part(found.images, higher_is_better=False, score_name="DMOS", skipped=found.skipped)
