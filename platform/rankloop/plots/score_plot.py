"""Scores of a model against what is known of the images."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from rankloop.metrics import srocc
from rankloop.plots.style import BLUE, GREY, new_figure, tidy


def score_plot(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    label_name: str,
    labels_higher_is_better: bool,
    scores_higher_is_better: bool = True,
    higher_means: str = "",
    same_unit: bool = False,
) -> Figure:
    """Draw one point per image, with Spearman's rank correlation as the title.

    Args:
        scores: (n,).
        labels: (n,): blur strength, rank or opinion score.
        label_name: what the labels are; a name with "synthetic" in it is pointed out.
        labels_higher_is_better: their direction.
        scores_higher_is_better: the model's direction.
        higher_means: what higher labels and scores mean, if not better images.
        same_unit: scores estimate the labels themselves: draw where both are alike, and say how far
            they are from each other.

    Raises:
        ValueError: the arrays differ in length or hold NaN or infinity.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    value = srocc(
        scores,
        labels,
        labels_higher_is_better=labels_higher_is_better,
        scores_higher_is_better=scores_higher_is_better,
    )
    figure = new_figure(6.4, 4.8)
    axes = figure.subplots()
    axes.scatter(
        labels,
        scores,
        s=float(np.clip(6000 / max(len(scores), 1), 6, 28)),
        color=BLUE,
        alpha=0.55 if len(scores) < 2000 else 0.25,
        linewidths=0,
    )
    shown = f"SROCC {value:.3f}" if np.isfinite(value) else "SROCC undefined"
    if same_unit:
        axes.axline((labels[0], labels[0]), slope=1.0, color=GREY, linewidth=1.0, zorder=0)
        guess = float(np.abs(labels - labels.mean()).mean())
        error = float(np.abs(scores - labels).mean())
        shown += f", MAE {error:.4g} (of the mean for all: {guess:.4g})"
    axes.set_title(f"{shown}, {len(scores):,} images", fontsize=12)
    axes.set_xlabel(f"label: {label_name}, {_direction(labels_higher_is_better, higher_means)}")
    axes.set_ylabel(f"model's score, {_direction(scores_higher_is_better, higher_means)}")
    tidy(axes, grid="both")
    return figure


def _direction(higher_is_better: bool, higher_means: str) -> str:
    if higher_means:
        return f"higher means {higher_means}"
    return f"{'higher' if higher_is_better else 'lower'} is better"
