"""A sweep's own figures, from its Optuna study.

Drawn here and not by `optuna.visualization.matplotlib`, which changes pyplot's global style.
"""

import numpy as np
import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from rankloop.metrics import UNDEFINED, direction, metric_title, turned
from rankloop.plots.style import BLUE, GREY, ORANGE, new_figure, tidy

# Of fewer trials a forest explains noise.
_FEWEST_EXPLAINED = 10


def optimization_history(study: optuna.Study, metric: str) -> Figure:
    """Draw every trial's value by its number, the best so far, and the paper's configuration.

    Trials stopped early are shown with the last value they reported; they have no part in the
    best so far, since their budget was smaller. Trial 0 is the paper's configuration.
    """
    trials = study.get_trials(deepcopy=False)
    finished = [t for t in trials if t.state == TrialState.COMPLETE and t.value != UNDEFINED]
    stopped = [t for t in trials if t.state == TrialState.PRUNED and t.intermediate_values]
    stopped = [t for t in stopped if _last_value(t) != UNDEFINED]
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    if finished:
        numbers, values = [t.number for t in finished], [float(t.value or 0.0) for t in finished]
        best = [turned(metric, value) for value in np.maximum.accumulate(values).tolist()]
        axes.step(numbers, best, where="post", color=ORANGE, linewidth=1.6, label="best so far")
        shown = [turned(metric, value) for value in values]
        axes.scatter(numbers, shown, s=36, color=BLUE, label="full budget", zorder=3)
    if stopped:
        axes.scatter(
            [t.number for t in stopped],
            [turned(metric, _last_value(t)) for t in stopped],
            s=32,
            facecolors="none",
            edgecolors=GREY,
            label="stopped early (last value)",
            zorder=3,
        )
    if finished and finished[0].number == 0 and finished[0].value is not None:
        paper = turned(metric, finished[0].value)
        axes.axhline(paper, color=BLUE, linewidth=1.0, linestyle=":", label="paper (trial 0)")
    axes.set_xlabel("trial")
    axes.set_ylabel(f"validation {metric_title(metric)}, {direction(metric)}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    tidy(axes)
    if finished or stopped:
        figure.legend(frameon=False, fontsize=10, loc="outside upper center", ncols=4)
    return figure


def parameter_importance(study: optuna.Study) -> Figure | None:
    """Draw the share of the value's variance that each hyperparameter explains (fANOVA).

    Hutter et al. 2014, over trials of full budget. None when there is nothing to explain: fewer
    than `_FEWEST_EXPLAINED` such trials, or all of one value.
    """
    whole = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    finished = [trial for trial in whole if trial.value != UNDEFINED]
    if len(finished) < _FEWEST_EXPLAINED or len({trial.value for trial in finished}) < 2:
        return None
    # Undefined values would explain all of the variance.
    study = optuna.create_study(direction=study.direction)
    study.add_trials(finished)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except RuntimeError:
        # None of the forest's trees found any variance.
        return None
    if not shares:
        return None
    names, widths = list(shares)[::-1], list(shares.values())[::-1]
    figure = new_figure(6.4, 1.4 + 0.42 * len(names))
    axes = figure.subplots()
    bars = axes.barh(names, widths, color=BLUE, height=0.6)
    axes.bar_label(bars, labels=[f"{width:.2f}" for width in widths], padding=4, fontsize=10)
    axes.set_xlim(0, max(widths) * 1.15 or 1.0)
    axes.set_xlabel(f"importance (fANOVA, {len(finished)} trials of full budget)")
    tidy(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    return figure


def _last_value(trial: FrozenTrial) -> float:
    return float(trial.intermediate_values[max(trial.intermediate_values)])
