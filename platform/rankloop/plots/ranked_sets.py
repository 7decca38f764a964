"""Ranked sets beside each other, pixel by pixel, each image with what it is."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from rankloop.plots.style import new_figure

# In pixels of the picture.
_GAP, _NARROWEST, _LINE, _CHARACTER = 6, 110, 18, 7
_NAMES = 150


def ranked_sets_figure(
    sets: Sequence[npt.NDArray[np.uint8]],
    labels: Sequence[str],
    *,
    title: str,
    names: Sequence[str] = (),
) -> Figure:
    """Draw one ranked set per row; small images are enlarged by whole numbers, none is shrunk.

    Saved at the figure's own dpi, every pixel of an image is one of the picture (or 2 x 2, ...).

    Args:
        sets: uint8 (n, h, w, 3) each, all of the same shape, at least one.
        labels: above the n columns.
        title: above all.
        names: beside the rows; none or one each.

    Raises:
        ValueError: there is no set, or another number of images than of labels, or of names.
    """
    if not sets or any(len(images) != len(labels) for images in sets):
        raise ValueError(
            f"sets of {[len(images) for images in sets]} images and {len(labels)} labels: give "
            "at least one set, and one label per image"
        )
    if names and len(names) != len(sets):
        raise ValueError(f"{len(sets)} sets and {len(names)} names: give one name per set, or none")
    times = max(1, math.ceil(_NARROWEST / sets[0].shape[2]))
    rows = [_row([image.repeat(times, 0).repeat(times, 1) for image in images]) for images in sets]
    gap = np.full((_GAP, *rows[0].shape[1:]), 255, np.uint8)
    canvas = np.concatenate([part for row in rows for part in (row, gap)])
    height, width = canvas.shape[:2]
    column = times * sets[0].shape[2] + _GAP
    left = _NAMES if any(names) else _GAP
    heading = textwrap.wrap(title, max(20, (left + width) // _CHARACTER))
    wrapped = [textwrap.fill(label, max(8, column // _CHARACTER)) for label in labels]
    above = _LINE * (1 + len(heading) + max(label.count("\n") + 1 for label in wrapped))
    full_width, full_height = left + width + _GAP, above + height + _LINE + _GAP
    figure = new_figure(full_width / 120, full_height / 120)
    figure.set_layout_engine("none")
    axes = figure.add_axes(
        (left / full_width, (_LINE + _GAP) / full_height, width / full_width, height / full_height)
    )
    axes.set_axis_off()
    axes.imshow(canvas, interpolation="none", aspect="auto")
    for number, label in enumerate(wrapped):
        axes.text(
            column * number + (column - _GAP) / 2,
            -_GAP,
            label,
            ha="center",
            va="bottom",
            fontsize=7,
        )
    for number, name in enumerate(names):
        middle = rows[0].shape[0] / 2 + number * (rows[0].shape[0] + _GAP)
        lines = [textwrap.fill(line, _NAMES // _CHARACTER) for line in name.splitlines()]
        axes.text(-_GAP, middle, "\n".join(lines), ha="right", va="center", fontsize=7)
    top = 1 - _GAP / full_height
    figure.text(0.5, top, "\n".join(heading), ha="center", va="top", fontsize=9)
    return figure


def _row(images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    gap = np.full((images[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, gap)], axis=1)
