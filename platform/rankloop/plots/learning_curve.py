"""A metric against the share of labels, one line per way of selecting."""

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rankloop.plots.style import COLORS, new_figure, tidy


def learning_curve(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, metric: str, title: str
) -> Figure:
    """Draw learning curves (TPAMI paper, figure 5).

    Args:
        curves: name to (share of the items that are labelled, in [0, 1], value), by share.
        metric: what the values are, e.g. ``"test SROCC"``.
        title: what was trained, on what.
    """
    figure = new_figure(7.0, 4.4)
    axes = figure.subplots()
    for (name, points), color in zip(curves.items(), COLORS * len(curves), strict=False):
        shares = [100.0 * share for share, _ in points]
        values = [value for _, value in points]
        axes.plot(shares, values, color=color, marker="o", linewidth=1.8, label=name)
    # Points lie at whole shares.
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(textwrap.shorten(title, 90, placeholder=" …"), fontsize=11)
    axes.set_xlabel("labelled items in %")
    axes.set_ylabel(metric)
    axes.legend(frameon=False)
    tidy(axes, grid="both")
    return figure
