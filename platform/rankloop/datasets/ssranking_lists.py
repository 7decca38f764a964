"""The list files of the SSRanking release: what each is, and its lines as values.

Forms, one item per line (the release's README; paper, section 2):
    crops         ``DatasetName>>Original_image_name>>x y width height>>Image_name_after_cropping``
    pairs         ``Image_left,Image_right``; supervised: the right image is the more blurred
    test ranking  ``image_name order``; a larger order is more blurred

Supervised and unsupervised pairs look alike and are told apart by the file's name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rankloop.errors import DataError
from rankloop.images import EXTENSIONS

ListKind = Literal["crop list", "supervised pairs", "unsupervised pairs", "test ranking"]

_IMAGE = rf"[^,>]*\.(?:{'|'.join(re.escape(e.lstrip('.')) for e in sorted(EXTENSIONS))})"
_CROP = re.compile(
    r"(?P<dataset>.+?)>>(?P<original>.+?)>>"
    r"\s*(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<width>\d+)\s+(?P<height>\d+)\s*>>(?P<image>.+)"
)
_PAIR = re.compile(rf"(?P<left>{_IMAGE})\s*,\s*(?P<right>{_IMAGE})", re.IGNORECASE)
_RANK = re.compile(rf"(?P<image>{_IMAGE})[\s,]+(?P<order>[-+]?\d+(?:\.\d+)?)", re.IGNORECASE)
_HEADER = re.compile(r"(image_left\s*,\s*image_right|image_name[\s,]+order)", re.IGNORECASE)
_UNSUPERVISED = ("unsup", "unlabel")
_SUPERVISED = ("sup", "train", "label")


@dataclass(frozen=True)
class Crop:
    """Where one image of the release was cut from.

    Attributes:
        image: its name after cropping, which the other lists use.
        original: ``DatasetName/Original_image_name``.
        box: (x, y, width, height) in pixels of the original.
    """

    image: str
    original: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class ListFile:
    """One recognised list.

    Attributes:
        name: its file name relative to the release's folder.
        kind: what it is.
        lines: its items as regular-expression groups, in order.
    """

    name: str
    kind: ListKind
    lines: Sequence[re.Match[str]]

    def crops(self) -> list[Crop]:
        """Items of a crop list."""
        return [
            Crop(
                m["image"],
                f"{m['dataset']}/{m['original']}",
                (int(m["x"]), int(m["y"]), int(m["width"]), int(m["height"])),
            )
            for m in self.lines
        ]

    def pairs(self) -> list[tuple[str, str]]:
        """Items of a list of pairs: (left, right)."""
        return [(m["left"], m["right"]) for m in self.lines]

    def ranks(self) -> dict[str, float]:
        """Items of a test ranking: image to order."""
        return {m["image"]: float(m["order"]) for m in self.lines}


def read_list(name: str, text: str) -> ListFile | None:
    """Return what a file is, by its first line, and its items; None when it is none of ours.

    A file that repeats the form's own words as a header is read without that line.

    Raises:
        DataError: a later line has another form, or nothing tells supervised from unsupervised.
    """
    numbered = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if numbered and _HEADER.fullmatch(numbered[0][1]):
        numbered = numbered[1:]
    if not numbered:
        return None
    for form in (_CROP, _PAIR, _RANK):
        if form.fullmatch(numbered[0][1]):
            break
    else:
        return None
    matches = []
    for number, line in numbered:
        match = form.fullmatch(line)
        if match is None:
            raise DataError(
                f"{name}, line {number}: {line!r} has not the form of the lines before; correct it"
            )
        matches.append(match)
    return ListFile(name, _kind(name, form), matches)


def _kind(name: str, form: re.Pattern[str]) -> ListKind:
    if form is _CROP:
        return "crop list"
    if form is _RANK:
        return "test ranking"
    # "unsupervised" holds "sup" too, and "unlabelled" "label".
    if any(word in name.lower() for word in _UNSUPERVISED):
        return "unsupervised pairs"
    if any(word in name.lower() for word in _SUPERVISED):
        return "supervised pairs"
    raise DataError(
        f"cannot tell whether the pairs in {name} are supervised: rename the file so that its name "
        "holds 'supervised' or 'unsupervised'"
    )
