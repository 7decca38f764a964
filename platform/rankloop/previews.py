"""Pictures of the ranked sets that can be made of photographs."""

import io
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from rankloop.datasets.part import ImageRow, Part
from rankloop.distortions import DISTORTIONS, MLIVE
from rankloop.distortions.blur import BLUR_KINDS
from rankloop.errors import ConfigError, DataError, ImageError
from rankloop.images import fit, load_whole
from rankloop.plots.ranked_sets import ranked_sets_figure
from rankloop.progress import counter
from rankloop.randomness import rng
from rankloop.ranking.quadruplets import BlurRange, quadruplet
from rankloop.ranking.recipes import RECIPES, find_recipe
from rankloop.storage import Folder

QUADRUPLET = "quadruplet"
ALL = "all"
_QUADRUPLET_BLURS = BlurRange(BLUR_KINDS, 0.5, 4.0)


def save_previews(
    part: Part, name: str, folder: Folder, *, images: int, size: int, seed: int
) -> list[tuple[str, str]]:
    """Write ``RANKED_SET.png``, one row for each of some photographs.

    Args:
        part: the photographs; which are shown is drawn.
        name: of RECIPES, ``"quadruplet"``, or ``"all"``.
        folder: where the PNGs go.
        images: photographs to show.
        size: side in pixels of the sets' images.
        seed: of every draw.

    Returns:
        (image, reason) of the photographs that could not be used.

    Raises:
        ConfigError: there is no such ranked set.
        DataError: no photograph can be used.
    """
    if name not in (ALL, QUADRUPLET):
        find_recipe(name)
    photographs, skipped = _photographs(part, images, size, seed)
    names = [*RECIPES, QUADRUPLET] if name == ALL else [name]
    with counter("drawing ranked sets") as progress:
        for done, each in enumerate(names, 1):
            try:
                figure = _figure(each, photographs, size, seed)
            except ConfigError as error:
                # A distortion whose package is not installed is no reason to lose the others.
                if name != ALL:
                    raise
                skipped.append((each, str(error)))
                continue
            png = io.BytesIO()
            figure.savefig(png, format="png", dpi=100)
            folder.write_bytes(f"{each}.png", png.getvalue())
            progress(done, len(names))
    return skipped


def _photographs(
    part: Part, wanted: int, size: int, seed: int
) -> tuple[list[np.ndarray], list[tuple[str, str]]]:
    rows = sorted(part.images, key=lambda row: row.image)
    found: list[np.ndarray] = []
    skipped: list[tuple[str, str]] = []
    for i in rng(seed, "preview").permutation(len(rows)):
        if len(found) == wanted:
            break
        try:
            found.append(_photograph(rows[i], size))
        except ImageError as error:
            skipped.append((rows[i].image, str(error)))
    if not found:
        image, reason = skipped[0]
        raise DataError(
            f"none of {len(rows)} photographs can be used, the first: {image}: {reason}"
        )
    return found, skipped


def _photograph(row: ImageRow, size: int) -> np.ndarray:
    image = load_whole(row.uri, row.crop, row.longest_side)
    if min(image.shape[:2]) < size:
        raise ImageError(
            f"its {image.shape[1]} x {image.shape[0]} pixels hold no square of {size}: give a "
            "smaller --size"
        )
    return image


def _figure(name: str, photographs: list[np.ndarray], size: int, seed: int) -> Figure:
    if name == QUADRUPLET:
        return _quadruplets(photographs, size, seed)
    # Every ladder shows the same part of a photograph.
    sets = [
        find_recipe(name)(image, rng(seed, "preview", i), size)
        for i, image in enumerate(photographs)
    ]
    labels = [_label(name, level) for level in sets[0].levels.tolist()]
    return ranked_sets_figure([made.images for made in sets], labels, title=_title(name))


def _quadruplets(photographs: list[np.ndarray], size: int, seed: int) -> Figure:
    squares = [fit(image, None, size) for image in photographs]
    if len(squares) < 2:
        squares = [*squares, squares[0][:, ::-1]]
    load: Callable[[int], np.ndarray] = squares.__getitem__
    sets = [
        quadruplet(load, len(squares), _QUADRUPLET_BLURS, seed=seed, step=0, item=item)
        for item in range(len(photographs))
    ]
    labels = ["x₁", "x₂", "x₁ blurred", "x₂ blurred"]
    return ranked_sets_figure(sets, labels, title="quadruplet: both blurred alike")


def _label(name: str, level: list[int]) -> str:
    if name in DISTORTIONS:
        parameters = ("original", *DISTORTIONS[name].parameters)
        return f"{level[0]}: {parameters[level[0]]}"
    return ", ".join(map(str, level))


def _title(name: str) -> str:
    if name in DISTORTIONS:
        return f"{name}\n{DISTORTIONS[name].meaning}"
    if name in MLIVE:
        return f"{name}: levels of {' and '.join(MLIVE[name])}"
    return f"{name}: each inside the one before"
