"""Images whose score a model gets most wrong, and most right (QCN, figure 9)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.stats import rankdata

from rankloop.plots.style import new_figure


def misplaced(scores: npt.ArrayLike, labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return by how many ranks each image is ranked too high (n,), ties in the middle.

    Ranks, because scores of some methods are on another scale than the labels.

    Args:
        scores: (n,), higher is better.
        labels: (n,), higher is better.
    """
    ranks, right = (rankdata(np.asarray(values, np.float64)) for values in (scores, labels))
    return np.asarray(np.subtract(ranks, right))


def misses_figure(
    groups: Sequence[tuple[str, npt.NDArray[np.uint8], npt.ArrayLike, npt.ArrayLike]],
) -> Figure:
    """Draw a row of images for each group, the score above each and its label in parentheses.

    Args:
        groups: what the group is; images uint8 (n, h, w, 3); their scores (n,); their labels (n,).
    """
    columns = max(len(images) for _, images, _, _ in groups)
    figure = new_figure(1.7 * columns, 2.3 * len(groups))
    rows = figure.subfigures(len(groups), 1, squeeze=False)[:, 0]
    for row, (name, images, scores, labels) in zip(rows, groups, strict=True):
        row.suptitle(name, fontsize=11, x=0.01, ha="left")
        grid = row.subplots(1, columns, squeeze=False)[0]
        for axes in grid:
            axes.set_axis_off()
        of_each = zip(np.asarray(scores), np.asarray(labels), strict=True)
        for axes, image, (score, label) in zip(grid, images, of_each, strict=False):
            axes.imshow(image, interpolation="lanczos")
            axes.set_title(f"{score:.4g} ({label:.4g})", fontsize=10, pad=3)
    return figure
