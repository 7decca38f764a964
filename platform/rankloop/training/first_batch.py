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
    """Draw the first rows of each stream of images, one figure per stream, by file name."""
    streams = method.streams(config, data, seed)
    return {f"first_batch_{name}.png": _drawn(name, stream) for name, stream in streams.items()}


def _drawn(name: str, stream: ExampleStream) -> Figure | None:
    rows = [stream.row(stream.first, item) for item in range(min(_SHOWN, stream.rows_per_step))]
    pictures = [found for row in rows if (found := stream.pictures(row)) is not None]
    if not pictures:
        return None
    count = len(pictures[0])
    labels = list(stream.image_names) or [f"image {number}" for number in range(1, count + 1)]
    if "levels" in rows[0] and not stream.image_names:
        levels = np.atleast_2d(rows[0]["levels"]).tolist()
        labels = [f"level {', '.join(map(str, level))}" for level in levels]
    names = [stream.describe(row) for row in rows]
    return ranked_sets_figure(
        _of_one_size(pictures),
        labels,
        title=f"first batch: {name}",
        names=names if any(names) else (),
    )


def _of_one_size(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Put rows of images, uint8 (k, h, w, 3), on black as high and as wide as the largest."""
    height, width = (max(row.shape[axis] for row in pictures) for axis in (1, 2))
    return [
        np.pad(row, ((0, 0), (0, height - row.shape[1]), (0, width - row.shape[2]), (0, 0)))
        for row in pictures
    ]
