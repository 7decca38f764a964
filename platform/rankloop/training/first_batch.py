"""What a run learns from, to look at before it has learned anything."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rankloop.methods.method import ExampleStream, Method, TrainingData
from rankloop.plots.ranked_sets import ranked_sets_figure

# Rows shown of each stream.
_SHOWN = 4


def first_batch_figures(
    method: Method, config: Any, data: TrainingData, seed: int
) -> dict[str, Figure | None]:
    """Draw the first rows of a run's first step, one figure per stream of images, by file name."""
    streams = method.streams(config, data, seed)
    return {f"first_batch_{name}.png": _drawn(name, stream) for name, stream in streams.items()}


def _drawn(name: str, stream: ExampleStream) -> Figure | None:
    rows = [stream.row(0, item) for item in range(min(_SHOWN, stream.rows_per_step))]
    sets = [row["images"] for row in rows if "images" in row and row["images"].ndim == 4]
    if not sets:
        return None
    levels = rows[0].get("levels")
    labels = (
        [f"image {number}" for number in range(1, len(sets[0]) + 1)]
        if levels is None
        else [f"level {', '.join(map(str, level))}" for level in np.atleast_2d(levels).tolist()]
    )
    return ranked_sets_figure(sets, labels, title=f"first batch: {name}")
