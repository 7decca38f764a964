"""``ucsd:PATH``: UCSD pedestrians (Chan et al. 2008): 2,000 frames, heads, a region of interest."""

import re
from collections.abc import Mapping
from functools import cache

import numpy as np

from rankloop.datasets.layouts.heads import (
    annotated_too,
    crowd_part,
    encode_region,
    head_points,
    inside_region,
    points_file,
    tested_part,
)
from rankloop.datasets.layouts.tree import open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import ConfigError, DataError

_FRAME = re.compile(r"(?:.*/)?(vidf1_33_(\d\d\d))\.y/\1_f(\d+)\.png", re.IGNORECASE)
_LABELS = re.compile(r"(vidf1_33_(\d\d\d))_frame_full\.mat")
# Frames 601 to 1400 train, the others test; a clip has 200.
_TRAINING_CLIPS = range(3, 7)
# Clips that are tested, the others of them being unlabelled (TPAMI paper, 6.2.2).
_FOLDS = {"1": range(7, 10), "2": range(3)}
_CLIPS = range(10)


def read_ucsd(path: str, options: Mapping[str, str]) -> Part:
    """Return the frames with the people in the region of interest, split as published.

    Frames of one clip are one source, since neighbours show the same people.

    Args:
        path: folder with ``vidf/vidf1_33_000.y/vidf1_33_000_f001.png``… and ``vidf-cvpr/``.
        options: ``fold=1``: test on frames 1401 to 2000; frames 1 to 600 are unlabelled training
            images, to make nested crops of (TPAMI paper, 6.2.2). ``fold=2``: the other way round.

    Raises:
        ConfigError: no such fold.
        DataError: no frame has points, or none that the fold tests on, or the region is missing or
            malformed.
    """
    fold = options.get("fold")
    if fold is not None and fold not in _FOLDS:
        raise ConfigError(f"ucsd:{path}: fold={fold!r} is none of 1 and 2")
    tree = open_tree(path)
    below = {name.rpartition("/")[2].lower(): name for name in tree.below("", (".mat",))}
    region_name = "vidf1_33_roi_mainwalkway.mat"
    if region_name not in below:
        raise DataError(f"{tree.folder} holds no {region_name}: unpack vidf-cvpr in it, too")
    location = str(tree.uri(below[region_name]))
    mask = _field(variable(read_mat(location), "roi", location), "mask", location).astype(bool)
    region = encode_region(mask)
    present = {name: _FRAME.fullmatch(name) for name in tree.below("", (".png",))}
    names = [name for name, match in present.items() if match and int(match[2]) in _CLIPS]
    folder = next((name[: -len("vidf1_33_000.y/vidf1_33_000_f001.png")] for name in names), "")

    @cache
    def clip(name: str) -> tuple[str, np.ndarray]:
        labels = f"{name}_frame_full.mat"
        location = points_file(tree, below.get(labels, labels))
        return location, variable(read_mat(location), "frame", location).ravel()

    def frames_of(name: str) -> int:
        try:
            return len(clip(name)[1])
        except DataError:
            # Each frame of the clip that is there says so.
            return 0

    annotated = [
        f"{folder}{match[1]}.y/{match[1]}_f{frame:03}.png"
        for match in map(_LABELS.fullmatch, below)
        if match and int(match[2]) in _CLIPS
        for frame in range(1, frames_of(match[1]) + 1)
    ]
    outside: list[int] = []

    def row(name: str) -> ImageRow:
        match = _FRAME.fullmatch(name)
        assert match is not None
        number = int(match[2])
        tested = _FOLDS[fold] if fold else _CLIPS
        if number not in (*_TRAINING_CLIPS, *tested):
            return ImageRow(name, name, source=match[1].lower(), split="train")
        frame = int(match[3])
        location, frames = clip(match[1].lower())
        if not 1 <= frame <= len(frames):
            raise DataError(f"{location} holds frames 1 to {len(frames)}")
        marked = head_points(_field(frames[frame - 1], "loc", location)[:, :2])
        points = inside_region(marked, mask)
        outside.append(len(marked) - len(points))
        return ImageRow(
            name,
            name,
            source=match[1].lower(),
            split=None if number in _TRAINING_CLIPS else "test",
            score=float(len(points)),
            points=points,
            region=region,
        )

    part = crowd_part(
        tree,
        annotated_too(tree, names, annotated),
        row,
        "frame vidf1_33_nnn.y/… with points",
        lambda: sum(outside),
    )
    if fold is None:
        return part
    first, last = _FOLDS[fold][0], _FOLDS[fold][-1]
    tested = f"clips vidf1_33_{first:03} to vidf1_33_{last:03}"
    return tested_part(part, f"ucsd:{path}?fold={fold}", tested)


def _field(structure: np.ndarray, name: str, location: str) -> np.ndarray:
    try:
        found: np.ndarray = np.atleast_2d(structure.ravel()[0][name])
        while found.dtype == object:
            found = np.atleast_2d(found.ravel()[0])
    except (IndexError, ValueError, TypeError) as error:
        raise DataError(
            f"{location} holds no {name!r} where it should; is it the release's?"
        ) from error
    return found
