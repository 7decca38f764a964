"""Errors of counts by range of the true count."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from rankloop.plots.style import BLUE, GREY, new_figure, tidy


def count_errors_figure(errors: Mapping[str, npt.NDArray[np.float64]]) -> Figure:
    """Draw the spread of errors (estimated less true counts, in people) for each range of counts.

    Boxes hold the middle half, whiskers all but outliers; every image is a point.

    Args:
        errors: range of true counts to errors, (n,) each, n >= 1.
    """
    figure = new_figure(1.6 + 1.1 * len(errors), 4.4)
    axes = figure.subplots()
    places = np.arange(1, len(errors) + 1)
    axes.axhline(0.0, color=GREY, linewidth=1.0)
    axes.boxplot(
        list(errors.values()),
        positions=places,
        widths=0.5,
        showfliers=False,
        medianprops={"color": BLUE},
    )
    for place, some in zip(places, errors.values(), strict=True):
        # Beside each other, so that equal errors are told apart.
        beside = place + np.linspace(-0.15, 0.15, len(some)) if len(some) > 1 else [place]
        axes.scatter(beside, some, s=14, color=BLUE, alpha=0.5, linewidths=0)
    axes.set_xticks(
        places,
        [f"{name}\n{len(some)} image{'s' * (len(some) > 1)}" for name, some in errors.items()],
    )
    axes.set_xlabel("people in the photograph")
    axes.set_ylabel("estimated less true count, 0 is best")
    tidy(axes)
    return figure
