"""Opinion scores of training data, as methods that learn from scores see them."""

import numpy as np

from rankloop.datasets.dataset import split_indices
from rankloop.methods.method import TrainingData


def quality_labels(data: TrainingData) -> np.ndarray:
    """Return the scores by row, float64 (n,), such that higher is better; NaN where none is."""
    labels = data.dataset.images["score"].to_numpy(zero_copy_only=False).astype(np.float64)
    return labels if data.dataset.higher_is_better else -labels


def labelled_rows(data: TrainingData) -> np.ndarray:
    """Return the rows of the training split that have a score, int (n,), ascending."""
    rows = split_indices(data.dataset, "train")
    return rows[~np.isnan(quality_labels(data)[rows])]
