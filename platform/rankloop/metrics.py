"""Metrics of scores against labels: pure functions of arrays.

In all of them 1-D arrays are taken as float64, and a NaN or an infinity in the input is refused
with a ValueError that counts them. What the values do not define is NaN, without a warning.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata


def srocc(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    labels_higher_is_better: bool,
    scores_higher_is_better: bool = True,
) -> float:
    """Spearman's rank correlation, turned so that 1.0 is full agreement on which image is better.

    Where labels and scores have the same direction it is the plain coefficient, where they have
    opposite directions its negative: scores (higher better) that fall as DMOS or blur rank (lower
    better) rises give 1.0. Tied values get the mean of their ranks.

    Args:
        scores: (n,).
        labels: (n,).
        labels_higher_is_better: MOS: True; DMOS, blur rank, strength of a distortion: False.
        scores_higher_is_better: direction of the scorer.

    Returns:
        In [-1, 1]; NaN if n < 2 or either input is constant.

    Raises:
        ValueError: shapes differ or are not (n,), or values are not finite.
    """
    scores, labels = _check(scores=scores, labels=labels)
    sign = 1.0 if labels_higher_is_better == scores_higher_is_better else -1.0
    return sign * _correlation(rankdata(scores), rankdata(labels))


def plcc(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    labels_higher_is_better: bool,
    scores_higher_is_better: bool = True,
) -> float:
    """Pearson's linear correlation, of raw values: no curve is fitted first.

    Arguments, sign, result and errors as in `srocc`.
    """
    scores, labels = _check(scores=scores, labels=labels)
    sign = 1.0 if labels_higher_is_better == scores_higher_is_better else -1.0
    return sign * _correlation(scores, labels)


def mae(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean absolute error, in the unit of the labels; NaN if n = 0. Errors as in `srocc`."""
    scores, labels = _check(scores=scores, labels=labels)
    return float(np.mean(np.abs(scores - labels))) if len(scores) else float("nan")


def rmse(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Root of the mean squared error ("MSE" in crowd counting); else as `mae`."""
    scores, labels = _check(scores=scores, labels=labels)
    return float(np.sqrt(np.mean((scores - labels) ** 2))) if len(scores) else float("nan")


def pair_accuracy(better_scores: npt.ArrayLike, worse_scores: npt.ArrayLike) -> float:
    """Fraction of labelled pairs whose better image has the higher score; a tie counts one half.

    Args:
        better_scores: (n,), higher is better; pair i is (better_scores[i], worse_scores[i]).
        worse_scores: (n,).

    Returns:
        In [0, 1]; NaN if n = 0.

    Raises:
        ValueError: as `srocc`.
    """
    better, worse = _check(better_scores=better_scores, worse_scores=worse_scores)
    if not len(better):
        return float("nan")
    return float(np.mean((better > worse) + 0.5 * (better == worse)))


def _check(**named: npt.ArrayLike) -> list[np.ndarray]:
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"the shapes are {shapes}: give two arrays of one shape (n,)")
    for name, array in arrays.items():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            raise ValueError(
                f"{bad} of {len(array)} {name} are NaN or infinite: leave those images out"
            )
    return list(arrays.values())


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    # min and max, since the centred values of a constant need not be exactly zero.
    if len(first) < 2 or first.min() == first.max() or second.min() == second.max():
        return float("nan")
    first, second = _standardised(first), _standardised(second)
    return float(np.clip(first @ second, -1.0, 1.0))


def _standardised(values: np.ndarray) -> np.ndarray:
    # Divided first, so that squares of very large or very small values stay finite and non-zero.
    values = values / np.abs(values).max()
    values = values - values.mean()
    unit: np.ndarray = values / np.linalg.norm(values)
    return unit


# Stands for a metric that is undefined (all scores are equal, say) where trials are compared: worse
# than any value that is `turned`.
UNDEFINED = -1e9


def higher_is_better(name: str) -> bool:
    """Whether a higher value of a metric is a better one: not of errors."""
    return name.split("/")[0] not in ("mae", "mae_spread", "rmse")


def turned(name: str, value: float) -> float:
    """Turn a value of a metric so that higher is better, or back: errors get a minus."""
    return value if higher_is_better(name) else -value


def compared_value(name: str, metrics: Mapping[str, float]) -> float:
    """Return a metric as a value of which higher is better; UNDEFINED where it is none."""
    value = metrics.get(name, math.nan)
    return turned(name, value) if math.isfinite(value) else UNDEFINED


def shown_value(name: str, value: float) -> str:
    """Return a value that is `turned` as text, as it was."""
    return "undefined" if value == UNDEFINED else f"{turned(name, value):.4f}"


def direction(name: str) -> str:
    """Return which values of a metric are better, in words."""
    return "higher is better" if higher_is_better(name) else "lower is better"


def metric_title(name: str) -> str:
    """Return what a metric is called in tables and plots, e.g. ``"SROCC"``, ``"pair accuracy"``."""
    return name.upper() if name in ("srocc", "plcc", "mae", "rmse") else name.replace("_", " ")
