"""Pictures of the ranked sets that can be made of photographs."""

import io
from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from rankloop.datasets.crowds import CrowdPhotograph, load_crowd
from rankloop.datasets.part import ImageRow, Part
from rankloop.distortions import DISTORTIONS, MLIVE
from rankloop.distortions.blur import BLUR_KINDS
from rankloop.errors import ConfigError, DataError, ImageError
from rankloop.images import fit
from rankloop.plots.ranked_sets import ranked_sets_figure
from rankloop.progress import counter
from rankloop.randomness import rng
from rankloop.ranking.nested_crops import nested_boxes
from rankloop.ranking.quadruplets import QUADRUPLET as IMAGES_OF_QUADRUPLET
from rankloop.ranking.quadruplets import BlurRange, quadruplet
from rankloop.ranking.ranked_set import RankedSet
from rankloop.ranking.recipes import RECIPES, find_recipe
from rankloop.storage import Folder

QUADRUPLET = "quadruplet"
NESTED_CROPS = "nested_crops"
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
        (image, reason) of the photographs that could not be used, for a ranked set or at all.

    Raises:
        ConfigError: there is no such ranked set.
        DataError: no photograph can be used.
    """
    check_name(name)
    photographs, skipped = _photographs(part, 2 * images, size, seed)
    names = [*RECIPES, QUADRUPLET] if name == ALL else [name]
    with counter("drawing ranked sets") as progress:
        for done, each in enumerate(names, 1):
            try:
                figure = _figure(each, photographs, images, size, seed, skipped)
            except (ConfigError, DataError) as error:
                # A distortion whose package is not installed is no reason to lose the others.
                if name != ALL:
                    raise
                skipped.append((each, str(error)))
                # A picture of an earlier run would pass for one of this.
                folder.remove(f"{each}.png")
                continue
            png = io.BytesIO()
            figure.savefig(png, format="png", dpi="figure")
            folder.write_bytes(f"{each}.png", png.getvalue())
            progress(done, len(names))
    return skipped


def check_name(name: str) -> None:
    """Raise ConfigError unless there is such a ranked set to draw; says the nearest."""
    if name not in (ALL, QUADRUPLET):
        find_recipe(name)


def _photographs(
    part: Part, wanted: int, size: int, seed: int
) -> tuple[dict[str, CrowdPhotograph], list[tuple[str, str]]]:
    rows = sorted(part.images, key=lambda row: row.image)
    found: dict[str, CrowdPhotograph] = {}
    skipped: list[tuple[str, str]] = []
    for i in rng(seed, "preview").permutation(len(rows)):
        if len(found) == wanted:
            break
        try:
            found[rows[i].image] = _photograph(rows[i], size)
        except ImageError as error:
            skipped.append((rows[i].image, str(error)))
    if not found:
        image, reason = skipped[0]
        raise DataError(
            f"none of {len(rows)} photographs can be used, the first: {image}: {reason}"
        )
    return found, skipped


def _photograph(row: ImageRow, size: int) -> CrowdPhotograph:
    found = load_crowd(vars(row))
    height, width, _ = found.image.shape
    if min(height, width) < size:
        raise ImageError(
            f"its {width} x {height} pixels hold no square of {size}: give a smaller --size"
        )
    return found


def _figure(
    name: str,
    photographs: Mapping[str, CrowdPhotograph],
    rows: int,
    size: int,
    seed: int,
    skipped: list[tuple[str, str]],
) -> Figure:
    if name == QUADRUPLET:
        return _quadruplets(photographs, rows, size, seed)
    sets: dict[str, RankedSet] = {}
    names = []
    unusable: list[tuple[str, str]] = []
    for i, (image, photograph) in enumerate(photographs.items()):
        try:
            # Every ladder shows the same part of a photograph.
            sets[image] = find_recipe(name)(photograph.image, rng(seed, "preview", i), size)
            names.append(image)
            if name == NESTED_CROPS and len(photograph.points):
                counts = heads_in_crops(photograph, rng(seed, "preview", i))
                names[-1] += f"\nheads: {', '.join(map(str, counts))}"
        except ImageError as error:
            unusable.append((f"{image} for {name}", str(error)))
        if len(sets) == rows:
            break
    if not sets:
        raise DataError(f"no photograph can be used for {name}: {unusable[0][1]}")
    skipped += unusable
    levels = next(iter(sets.values())).levels.tolist()
    return ranked_sets_figure(
        [made.images for made in sets.values()],
        [_label(name, level) for level in levels],
        title=_title(name),
        names=names,
    )


def heads_in_crops(photograph: CrowdPhotograph, generator: np.random.Generator) -> list[int]:
    """Count the heads in each of the nested crops that this generator draws, largest first."""
    height, width, _ = photograph.image.shape
    # The middle of the first pixel is (0, 0): a crop begins half a pixel before its first one.
    x, y = photograph.points.T + 0.5
    return [
        int(((left <= x) & (x < left + side) & (top <= y) & (y < top + side)).sum())
        for left, top, side in nested_boxes(height, width, generator).tolist()
    ]


def _quadruplets(
    photographs: Mapping[str, CrowdPhotograph], rows: int, size: int, seed: int
) -> Figure:
    """Every row is of two photographs of its own, in the order that the quadruplet has them in."""
    names, sets = [], []
    images = list(photographs)
    if len(images) < 2:
        raise DataError("a quadruplet is made of two photographs, and there is one: give more")
    for item in range(min(rows, len(images) // 2)):
        pair = images[2 * item : 2 * item + 2]
        squares = [fit(photographs[image].image, None, size) for image in pair]
        load: Callable[[int], np.ndarray] = squares.__getitem__
        made = quadruplet(load, 2, _QUADRUPLET_BLURS, seed=seed, step=0, item=item)
        sets.append(made)
        first = 0 if np.array_equal(made[0], squares[0]) else 1
        names.append(f"{pair[first]}\nand {pair[1 - first]}")
    low, high = _QUADRUPLET_BLURS.low, _QUADRUPLET_BLURS.high
    title = (
        f"quadruplet: both blurred alike, each row by a kernel ({', '.join(BLUR_KINDS)}) and a "
        f"standard deviation of its own, {low} to {high} pixels"
    )
    return ranked_sets_figure(sets, IMAGES_OF_QUADRUPLET, title=title, names=names)


def _label(name: str, level: list[int]) -> str:
    if name in MLIVE:
        return "; ".join(
            f"{distortion.replace('_', ' ')} level {number}: "
            f"{DISTORTIONS[distortion].parameters[number - 1]}"
            for distortion, number in zip(MLIVE[name], level, strict=True)
        )
    if name in DISTORTIONS:
        parameters = ("original", *DISTORTIONS[name].parameters)
        return f"level {level[0]}: {parameters[level[0]]}"
    return f"crop {level[0]}"


def _title(name: str) -> str:
    if name in DISTORTIONS:
        order = "" if DISTORTIONS[name].is_monotone else " (a higher level need not be worse)"
        return f"{name}: {DISTORTIONS[name].meaning}{order}"
    if name in MLIVE:
        return f"{name}: one is worse than another if neither level is lower; else no order"
    return f"{name}: each inside the one before"
