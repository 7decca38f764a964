"""Images in the order of their scores."""

import math

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from rankloop.plots.style import new_figure


def contact_sheet(
    images: npt.NDArray[np.uint8],
    scores: npt.ArrayLike,
    *,
    columns: int = 6,
    higher_is_better: bool = True,
    title: str = "",
) -> Figure:
    """Draw images from the best score to the worst, each with its score above.

    Args:
        images: uint8 (n, h, w, 3).
        scores: (n,); images whose score is NaN come last.
        columns: images in a row.
        higher_is_better: direction of the scores.
        title: above all.

    Raises:
        ValueError: there is no image, or not one score for each.
    """
    scores = np.asarray(scores, np.float64)
    if not len(images) or scores.shape != (len(images),):
        raise ValueError(
            f"{len(images)} images and scores of shape {scores.shape}: give one score per image, "
            "and at least one image"
        )
    order = np.argsort(-scores if higher_is_better else scores, kind="stable")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[1:3]
    side = 9.0 / max(columns, 4)
    figure = new_figure(
        side * columns, rows * (side * height / width + 0.27) + (0.4 if title else 0.1)
    )
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, index in zip(grid.flat, order, strict=False):
        axes.imshow(images[index], interpolation="lanczos")
        axes.set_title(f"{scores[index]:.2f}", fontsize=11, pad=3)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure
