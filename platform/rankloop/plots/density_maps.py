"""Photographs of crowds beside their true and their predicted density."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from rankloop.plots.style import new_figure

COLORMAP = "inferno"


@dataclass(frozen=True)
class CrowdEstimate:
    """What is shown of a photograph.

    Attributes:
        name: the image's.
        image: uint8 (h, w, 3).
        truth: people per cell, float (h', w'); None where nobody marked them.
        estimate: likewise, float (h', w').
        count: true number of people; NaN where nobody counted them.
    """

    name: str
    image: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.float32] | None
    estimate: npt.NDArray[np.float32]
    count: float


def density_figure(estimates: Sequence[CrowdEstimate]) -> Figure:
    """Draw a row for each photograph: itself, true and predicted density with counts (figure 6).

    The two densities of a row share their colours; below zero is as zero.
    """
    figure = new_figure(10.5, 2.7 * len(estimates))
    rows = figure.subplots(len(estimates), 3, squeeze=False)
    for axes, shown in zip(rows, estimates, strict=True):
        truth = shown.truth
        most = max(float(np.max(found)) for found in (truth, shown.estimate) if found is not None)
        for panel in axes:
            panel.set_axis_off()
        axes[0].imshow(shown.image, interpolation="lanczos")
        axes[0].set_title(shown.name, fontsize=9)
        if truth is not None:
            _draw(axes[1], truth, most, shown.image.shape)
        if not math.isnan(shown.count):
            axes[1].set_title(f"true: {shown.count:.0f}", fontsize=9)
        _draw(axes[2], shown.estimate, most, shown.image.shape)
        axes[2].set_title(f"predicted: {float(shown.estimate.sum()):.1f}", fontsize=9)
    return figure


def _draw(axes: object, density: np.ndarray, most: float, shape: tuple[int, ...]) -> None:
    axes.imshow(  # type: ignore[attr-defined]
        density,
        cmap=COLORMAP,
        vmin=0.0,
        vmax=max(most, 1e-9),
        interpolation="nearest",
        extent=(0, shape[1], shape[0], 0),
    )
