"""Ranked sets with the scores that a model gives, and where it breaks their order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from rankloop.plots.style import GREY, ORANGE, new_figure


@dataclass(frozen=True)
class ScoredSet:
    """What is shown of a ranked set of k images.

    Attributes:
        name: what it was made of.
        images: uint8 (k, h, w, 3).
        scores: float (k,).
        violations: images that score at or beyond one that ranks above them, bool (k,).
    """

    name: str
    images: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float64]
    violations: npt.NDArray[np.bool_]


def ranked_scores_figure(sets: Sequence[ScoredSet], title: str) -> Figure:
    """Draw a set per row, the score above each image; violations are framed and in bold.

    Args:
        sets: at least one.
        title: above all.
    """
    columns = max(len(shown.images) for shown in sets)
    figure = new_figure(1.1 + 1.5 * columns, 0.9 + 1.75 * len(sets))
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(sets), columns, squeeze=False)
    for row, shown in zip(grid, sets, strict=True):
        for axes in row[len(shown.images) :]:
            axes.set_axis_off()
        of_each = zip(row, shown.images, shown.scores, shown.violations, strict=False)
        for axes, image, score, violation in of_each:
            axes.imshow(image, interpolation="lanczos")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(
                f"{score:.4g}",
                fontsize=10,
                pad=3,
                color=ORANGE if violation else "black",
                fontweight="bold" if violation else "normal",
            )
            for spine in axes.spines.values():
                spine.set_color(ORANGE if violation else GREY)
                spine.set_linewidth(3.0 if violation else 0.5)
        row[0].set_ylabel(shown.name, fontsize=8)
    return figure
