"""A trained scorer made useful: its checkpoint, its model in MLflow, its pictures."""

import logging
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rankloop.datasets.dataset import Split
from rankloop.figures import save_figures
from rankloop.images import encode, fit
from rankloop.methods.method import Method, TrainingData
from rankloop.plots.arrangement import arrangement_figure
from rankloop.plots.contact_sheet import contact_sheet
from rankloop.plots.misses import misplaced, misses_figure
from rankloop.plots.score_plot import score_plot
from rankloop.plots.training_curves import training_curves
from rankloop.randomness import rng
from rankloop.shown import first_line
from rankloop.storage import Folder
from rankloop.tracking import Tracking
from rankloop.training.crowd_figures import crowd_figures
from rankloop.training.final import FinalModel, past_reports, publish_checkpoint, scored_labels
from rankloop.training.scored_sets import scored_sets_figure

# Images on the contact sheet, spread evenly from the best score to the worst.
SHOWN = 24
# In pixels, each.
SHOWN_SIDE = 128
# Characters that fit above 8 columns.
TITLE_WIDTH = 90
# Images in each row of the worst and best misses.
MISSES = 6
# Most images in the picture of how a model arranges them.
ARRANGED = 500
_log = logging.getLogger("rankloop")


def publish(
    method: Method,
    final: FinalModel,
    data: TrainingData,
    folder: Folder,
    tracking: Tracking,
    run_id: str,
    figures: Mapping[str, Figure | None] | None = None,
    registered: str | None = None,
) -> list[str]:
    """Write ``checkpoint`` and ``plots`` of a result, log both to its MLflow run, and name plots.

    Args:
        method: what was trained.
        final: the finished model.
        data: its data.
        folder: the result folder.
        tracking: MLflow.
        run_id: the run to log to.
        figures: more figures, by file name.
        registered: registered model whose newest version, with the alias ``best``, this becomes.
    """
    checkpoint = publish_checkpoint(final, folder)
    drawn = {**_figures(method, final, data), **(figures or {})}
    names = save_figures(folder, drawn, annotator=data.dataset.annotator)
    tracking.log_files(run_id, folder, names)
    _log_model(checkpoint, final, data, tracking, run_id, registered)
    return names


def scores_figure(
    method: Method, final: FinalModel, data: TrainingData, split: Split
) -> Figure | None:
    """Plot a split's scores against what is known of its images; None when nothing is."""
    dataset = data.dataset
    scores, labels = scored_labels(final, data, split)
    if not len(scores) or dataset.higher_is_better is None:
        return None
    return score_plot(
        scores,
        labels,
        label_name=dataset.score_name or "score",
        labels_higher_is_better=dataset.higher_is_better,
        scores_higher_is_better=method.higher_is_better,
        higher_means=method.higher_means,
        same_unit=method.density is not None,
    )


def _figures(method: Method, final: FinalModel, data: TrainingData) -> dict[str, Figure | None]:
    dataset = data.dataset
    found: dict[str, Figure | None] = {
        "training_curves.png": training_curves(past_reports(final.checkpoint)),
        "test_scores.png": scores_figure(method, final, data, "test"),
    }
    test = final.evaluations["test"]
    found |= crowd_figures(method, final, data)
    found["test_ranked_sets.png"] = scored_sets_figure(method, final, data)
    found["test_misses.png"] = _misses(method, final, data)
    found["arrangement.png"] = _arrangement(method, final, data)
    if len(test.images):
        order = np.argsort(test.scores, kind="stable")
        some = order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(int)]
        found["test_images.png"] = contact_sheet(
            np.stack([fit(data.load(int(row)), None, SHOWN_SIDE) for row in test.images[some]]),
            test.scores[some],
            columns=8,
            higher_is_better=method.higher_is_better,
            title=textwrap.fill(f"test images of {dataset.name}", TITLE_WIDTH),
        )
    return found


def _misses(method: Method, final: FinalModel, data: TrainingData) -> Figure | None:
    test = final.evaluations["test"]
    labels = data.dataset.images["score"].to_numpy(zero_copy_only=False).astype(np.float64)
    known = ~np.isnan(labels[test.images])
    rows, scores = test.images[known], test.scores[known].astype(np.float64)
    labels = labels[rows]
    if len(rows) < 3 * MISSES or np.ptp(scores) == 0 or data.dataset.higher_is_better is None:
        return None
    error = misplaced(
        scores if method.higher_is_better else -scores,
        labels if data.dataset.higher_is_better else -labels,
    )
    order = np.argsort(error, kind="stable")
    nearest = np.argsort(np.abs(error), kind="stable")
    chosen = (
        (f"ranked too low: score ({_labels_named(method, data)})", order[:MISSES]),
        ("ranked too high", order[::-1][:MISSES]),
        ("nearest to the right rank", nearest[:MISSES]),
    )
    return misses_figure(
        [
            (
                name,
                np.stack([fit(data.load(int(row)), None, SHOWN_SIDE) for row in rows[some]]),
                scores[some],
                labels[some],
            )
            for name, some in chosen
        ]
    )


def _labels_named(method: Method, data: TrainingData) -> str:
    name = data.dataset.score_name or "label"
    if method.higher_means:
        return f"{name}, higher means {method.higher_means}"
    return f"{name}, {'higher' if data.dataset.higher_is_better else 'lower'} is better"


def _arrangement(method: Method, final: FinalModel, data: TrainingData) -> Figure | None:
    labels = data.dataset.images["score"].to_numpy(zero_copy_only=False).astype(np.float64)
    rows = final.evaluations["test"].images
    rows = rows[~np.isnan(labels[rows])]
    if len(rows) > ARRANGED:
        dice = rng(0, "images of the arrangement")
        rows = np.sort(dice.choice(rows, ARRANGED, replace=False))
    found = method.arrangement(final.model, final.config, data, rows)
    if found is None or len(found.rows) < 3:
        return None
    sign = 1.0 if data.dataset.higher_is_better else -1.0
    return arrangement_figure(found.stages, sign * labels[found.rows], found.pivot_scores)


def _log_model(
    checkpoint: Folder,
    final: FinalModel,
    data: TrainingData,
    tracking: Tracking,
    run_id: str,
    registered: str | None,
) -> None:
    from rankloop.scoring.mlflow_model import log_scorer

    open_id = tracking.run_id(run_id)
    if not open_id:
        tracking.lose(run_id, "model")
        return
    rows = np.concatenate([found.images for found in final.evaluations.values()])
    example = encode(data.load(int(rows[0])))
    try:
        with tempfile.TemporaryDirectory(prefix="rankloop-model-") as scratch:
            local = (
                Path(checkpoint.path)
                if checkpoint.is_local
                else checkpoint.fetch(Path(scratch) / "checkpoint")
            )
            log_scorer(tracking.store, open_id, local, example, registered=registered)
    except Exception as error:
        # MLflow is a view: the checkpoint folder holds the model whatever happens to it.
        tracking.lose(run_id, "model")
        _log.warning("the model could not be logged to MLflow: %s", first_line(error))
