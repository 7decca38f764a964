"""A metric against the share of labels, one line per way of selecting."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from rankloop.plots.style import COLORS, new_figure, tidy


def learning_curve(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, metric: str, labels: str
) -> Figure:
    """Draw learning curves (TPAMI paper, figure 5).

    Args:
        curves: name to (share of the items that are labelled, in [0, 1], value), by share.
        metric: what the values are, e.g. ``"test SROCC"``.
        labels: who labelled.
    """
    figure = new_figure(7.0, 4.4)
    axes = figure.subplots()
    for (name, points), color in zip(curves.items(), COLORS * len(curves), strict=False):
        shares = [100.0 * share for share, _ in points]
        values = [value for _, value in points]
        axes.plot(shares, values, color=color, marker="o", linewidth=1.8, label=name)
    axes.set_xlabel(f"labelled items in % (labels: {labels})")
    axes.set_ylabel(metric)
    axes.legend(frameon=False)
    tidy(axes, grid="both")
    return figure
