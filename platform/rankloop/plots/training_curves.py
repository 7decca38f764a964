"""How one run went: its losses and its validation metrics by step."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rankloop.metrics import direction, metric_title
from rankloop.plots.style import COLORS, new_figure, tidy


class CurvePoint(Protocol):
    """What a run reported at one evaluation; `rankloop.training.loop.Report` is one."""

    @property
    def step(self) -> int:
        """Training steps done."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Validation metrics; NaN where undefined."""

    @property
    def losses(self) -> Mapping[int, Mapping[str, float]]:
        """Step, counted from 0, to named loss terms, for the steps since the report before."""


def training_curves(reports: Sequence[CurvePoint]) -> Figure:
    """Draw every loss term, raw and smoothed, above the validation metrics.

    Metrics of which higher values are better have a panel of their own, and so have errors.

    Args:
        reports: in the order of their steps.
    """
    names = dict.fromkeys(name for report in reports for name in report.metrics)
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(direction(name), []).append(name)
    rows = 1 + max(1, len(kinds))
    figure = new_figure(7.2, 2.0 + 2.0 * rows)
    upper, *lower = figure.subplots(rows, 1, sharex=True, height_ratios=(3, *[2] * (rows - 1)))
    _draw_losses(upper, reports)
    for axes, (which, some) in zip(lower, kinds.items(), strict=False):
        _draw_metrics(axes, reports, some)
        axes.set_ylabel(f"validation,\n{which}")
    lower[-1].set_xlabel("training step")
    lower[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, *lower):
        tidy(axes)
        if axes.lines:
            # Outside, since no place inside is free of curves for sure.
            axes.legend(frameon=False, fontsize=10, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.align_ylabels()
    return figure


def _draw_losses(axes: Axes, reports: Sequence[CurvePoint]) -> None:
    losses: dict[str, dict[int, float]] = {}
    for report in reports:
        for step, terms in report.losses.items():
            for name, value in terms.items():
                losses.setdefault(name, {})[step + 1] = value
    window = 1
    for (name, by_step), color in zip(losses.items(), _colors(len(losses)), strict=True):
        steps, values = np.array(list(by_step)), np.array(list(by_step.values()))
        window = max(1, len(values) // 25)
        axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
        smooth = _smooth(values, window)
        axes.plot(steps, smooth, color=color, linewidth=1.8, label=name.replace("_", " "))
    axes.set_ylabel("loss (smoothed over raw)" if window > 1 else "loss")


def _draw_metrics(axes: Axes, reports: Sequence[CurvePoint], names: Sequence[str]) -> None:
    for name, color in zip(names, _colors(len(names)), strict=True):
        known = [(r.step, r.metrics[name]) for r in reports if name in r.metrics]
        steps, values = zip(*known, strict=True)
        label = metric_title(name)
        axes.plot(steps, values, color=color, linewidth=1.4, marker="o", markersize=4, label=label)


def _smooth(values: np.ndarray, window: int) -> np.ndarray:
    # Mean over the steps around each; fewer at the ends, so that these are not pulled to zero.
    weights = np.ones(2 * (window // 2) + 1)
    sums = np.convolve(values, weights)[window // 2 :][: len(values)]
    counts = np.convolve(np.ones(len(values)), weights)[window // 2 :][: len(values)]
    smoothed: np.ndarray = sums / counts
    return smoothed


def _colors(count: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(count)]
