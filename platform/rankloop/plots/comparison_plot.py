"""The rows of a table, several seeds each, with the paper's numbers beside."""

import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankloop.metrics import direction, metric_title
from rankloop.plots.style import BLUE, COLORS, GREY, new_figure, tidy

_MARKERS = ("o", "s", "^", "D", "v", "P")
# Metrics in names of the papers' columns.
_METRICS = ("SROCC", "PLCC", "LCC", "MAE", "RMSE")


def comparison_plot(
    values: Mapping[str, Sequence[float]],
    paper: Mapping[str, Mapping[str, float]],
    metric: str = "srocc",
) -> Figure:
    """Draw a point per seed with mean and standard deviation, and the paper's numbers beside.

    The two have axes of their own: the paper's numbers are for its own data and budget. Of numbers
    of several metrics those of ``metric`` are drawn, if there are any.

    Args:
        values: row name to the test metric of each seed; NaN is left out.
        paper: row name to column name, whose last word may be a metric, else they are SROCC,
            to the paper's number; empty for none.
        metric: what the values are.
    """
    rows = list(values)
    paper = _of_metric(paper, metric)
    figure = new_figure(8.4 if any(paper.values()) else 5.6, 1.6 + 0.55 * len(rows))
    if any(paper.values()):
        ours, theirs = figure.subplots(1, 2, sharey=True)
        _draw_paper(theirs, rows, paper)
        columns = [column.split()[-1] for row in paper.values() for column in row]
        named = [column for column in dict.fromkeys(columns) if column in _METRICS]
        theirs.set_xlabel(" and ".join(named) or "SROCC")
    else:
        ours = figure.subplots()
    _draw_seeds(ours, values)
    ours.set_xlabel(f"test {metric_title(metric)}, {direction(metric)}")
    ours.set_yticks(range(len(rows)), rows)
    ours.set_ylim(len(rows) - 0.4, -0.6)
    return figure


def _of_metric(
    paper: Mapping[str, Mapping[str, float]], metric: str
) -> Mapping[str, Mapping[str, float]]:
    title = metric_title(metric)
    found = {
        name: {column: value for column, value in row.items() if column.split()[-1] == title}
        for name, row in paper.items()
    }
    return found if any(found.values()) else paper


def _draw_seeds(axes: Axes, values: Mapping[str, Sequence[float]]) -> None:
    most = 0
    for place, row in enumerate(values.values()):
        known = [value for value in row if math.isfinite(value)]
        most = max(most, len(known))
        if not known:
            axes.annotate(
                "no value", (0.05, place), xycoords=("axes fraction", "data"), va="center"
            )
            continue
        deviation = statistics.stdev(known) if len(known) > 1 else 0.0
        below = [place + 0.2] * len(known)
        axes.scatter(known, below, s=26, color=BLUE, alpha=0.6, linewidths=0)
        axes.errorbar(
            statistics.fmean(known),
            place,
            xerr=deviation,
            fmt="|",
            color="black",
            markersize=14,
            markeredgewidth=2,
            capsize=3,
            zorder=3,
        )
    spread = f"{most} seeds, mean ± standard deviation" if most > 1 else "1 seed"
    axes.set_title(f"ours: {spread}", fontsize=11)
    tidy(axes, grid="x")
    axes.tick_params(axis="y", length=0)


def _draw_paper(axes: Axes, rows: Sequence[str], paper: Mapping[str, Mapping[str, float]]) -> None:
    columns = list(dict.fromkeys(name for row in paper.values() for name in row))
    for index, column in enumerate(columns):
        places = [place for place, row in enumerate(rows) if column in paper.get(row, {})]
        axes.scatter(
            [paper[rows[place]][column] for place in places],
            places,
            s=34,
            marker=_MARKERS[index % len(_MARKERS)],
            color=COLORS[(index + 1) % len(COLORS)] if len(columns) > 1 else GREY,
            label=column,
        )
    axes.set_title("paper, its data and budget", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    tidy(axes, grid="x")
    axes.tick_params(axis="y", length=0)
