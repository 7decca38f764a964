"""Ranked sets beside each other, each image with what it is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from rankloop.plots.style import new_figure

_COLUMN = 1.5


def ranked_sets_figure(
    sets: Sequence[npt.NDArray[np.uint8]], labels: Sequence[str], *, title: str
) -> Figure:
    """Draw one ranked set per row.

    Args:
        sets: uint8 (n, h, w, 3) each, all with the same n, at least one.
        labels: above the n images of each row.
        title: above all.

    Raises:
        ValueError: there is no set, or another number of images than of labels.
    """
    if not sets or any(len(images) != len(labels) for images in sets):
        raise ValueError(
            f"sets of {[len(images) for images in sets]} images and {len(labels)} labels: give "
            "at least one set, and one label per image"
        )
    height, width = sets[0].shape[1:3]
    row = _COLUMN * height / width + 0.25
    figure = new_figure(_COLUMN * len(labels), row * len(sets) + 0.4)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    grid = figure.subplots(len(sets), len(labels), squeeze=False)
    for axes_of_set, images in zip(grid, sets, strict=True):
        for axes, image, label in zip(axes_of_set, images, labels, strict=True):
            axes.set_axis_off()
            axes.imshow(image, interpolation="nearest")
            axes.set_title(label, fontsize=8, pad=2)
    figure.suptitle(title, fontsize=11)
    return figure
