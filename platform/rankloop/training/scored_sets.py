"""Ranked sets of test images with a model's scores: what it has understood of the ranks."""

import numpy as np
import torch
from matplotlib.figure import Figure

from rankloop.errors import ImageError
from rankloop.methods.method import Method, TrainingData
from rankloop.methods.views import mean_scores
from rankloop.plots.ranked_scores import ScoredSet, ranked_scores_figure
from rankloop.plots.style import ending
from rankloop.randomness import rng
from rankloop.ranking.ranked_set import ranks_above
from rankloop.training.final import FinalModel

# Sets in the picture, and test images that are tried for them.
_SETS, _TRIED = 6, 24


def scored_sets_figure(method: Method, final: FinalModel, data: TrainingData) -> Figure | None:
    """Draw ranked sets of some test images; None where none can be made."""
    rows = final.evaluations["test"].images
    dice = rng(0, "images of the ranked sets")
    sets: list[ScoredSet] = []
    for row in dice.permutation(rows)[:_TRIED].tolist():
        try:
            sets.append(_scored_set(method, final, data, row))
        except ImageError:
            # A flat image, say, of which no set can be made.
            continue
        if len(sets) == _SETS:
            break
    if not sets:
        return None
    found = np.concatenate([shown.violations for shown in sets])
    higher = "higher" if method.higher_is_better else "lower"
    return ranked_scores_figure(
        sets,
        f"ranked sets of test images, {higher} scores mean {method.higher_means or 'better images'}"
        f" and come first: {int(found.sum())} of {len(found)} images violate the order",
    )


def _scored_set(method: Method, final: FinalModel, data: TrainingData, row: int) -> ScoredSet:
    name = data.dataset.images["image"][row].as_py()
    generator = rng(0, "ranked set of a test image", name)
    made = method.ranked_set(data.load(row), generator, final.config)
    device = next(final.model.parameters()).device
    views = list(made.images[:, np.newaxis])
    with torch.inference_mode():
        scores = mean_scores(method, final.model, views, device).astype(np.float64)
    sign = 1.0 if method.higher_is_better else -1.0
    above = ranks_above(made.levels)
    ahead = sign * scores[:, np.newaxis] > sign * scores[np.newaxis, :]
    shown = ending(name, 20)
    return ScoredSet(shown, made.images, scores, np.any(above & ~ahead, axis=0))
