"""Training lists of QCN: images whose scores are spread over the whole range."""

from collections.abc import Mapping
from functools import lru_cache, partial

import numpy as np

from rankloop.methods.labels import labelled_rows, quality_labels
from rankloop.methods.method import ExampleStream, TrainingData
from rankloop.methods.pivot_scores import lloyd_max_pivot_scores, uniform_pivot_scores
from rankloop.methods.qcn_config import QCNConfig, Quantisation
from rankloop.methods.replaced_images import REPLACED, ReplacedImages
from rankloop.methods.whole_images import check_opinions, most_pixels, row_pictures, whole_image
from rankloop.ranking.score_groups import equal_score_groups, score_intervals
from rankloop.ranking.score_list import Group, packed_pixels, score_list

# Of the steps, in the authors' code, in which lists hold all groups of scores (5 of 100 epochs).
_UNIFORM_SHARE = 0.05


def qcn_streams(config: QCNConfig, data: TrainingData, seed: int) -> dict[str, ExampleStream]:
    """Return the stream of lists over the training split; see `Method.streams`."""
    check_opinions(data, "qcn")
    rows = labelled_rows(data)
    labels = quality_labels(data)[rows]
    if config.objective == "comparison":
        # More pivots than scores are refused before anything starts.
        quantised_scores(labels, config)
        auxiliary_groups(labels, config)
    early, late = _groups(config, labels)
    row = partial(_row, data, rows, labels, early, late, config, seed)
    return {
        "lists": ExampleStream(
            config.lists,
            row,
            tuple(f"image {i}" for i in range(1, config.images * config.images_per_group + 1)),
            pictures=row_pictures,
            describe=_scores,
        )
    }


def _groups(config: QCNConfig, labels: np.ndarray) -> tuple[list[Group], list[Group]]:
    """Groups of scores that lists are drawn from, of the first steps and of the others."""
    if config.batches == "intervals":
        intervals: list[Group] = [[some] for some in score_intervals(labels, config.images)]
        return intervals, intervals
    early: list[Group] = list(equal_score_groups(labels, config.images))
    fine = min(3 * config.images, sum(map(len, early)))
    return early, list(equal_score_groups(labels, fine))


def _row(
    data: TrainingData,
    rows: np.ndarray,
    labels: np.ndarray,
    early: list[Group],
    late: list[Group],
    config: QCNConfig,
    seed: int,
    step: int,
    item: int,
) -> dict[str, np.ndarray]:
    replaced = ReplacedImages()
    images, positions = score_list(
        lambda position: whole_image(data.load(int(rows[position])), config.short_side),
        early if step < _UNIFORM_SHARE * config.steps else late,
        config.images,
        config.images_per_group,
        seed=seed,
        step=step,
        item=item,
        on_skip=lambda position, reason: replaced(int(rows[position]), reason),
    )
    pixels, sizes = packed_pixels(images, most_pixels(config.short_side))
    return {
        "pixels": pixels,
        "sizes": sizes,
        "labels": labels[positions],
        "step": np.array(step, np.int64),
        REPLACED: replaced.column(),
    }


def _scores(row: Mapping[str, np.ndarray]) -> str:
    return f"scores, higher is better: {', '.join(f'{label:.3g}' for label in row['labels'])}"


def auxiliary_groups(labels: np.ndarray, config: QCNConfig) -> list[Group]:
    """Return the N - 1 groups of scores that auxiliary images are drawn from (section 3.5).

    Raises:
        DataError: fewer different scores than groups of the authors' code.
    """
    if config.images == 1:
        return []
    if config.auxiliary == "code":
        return list(equal_score_groups(labels, config.images - 1))
    return [[positions] for positions in score_intervals(labels, config.images - 1)]


def quantised_scores(scores: np.ndarray, config: QCNConfig) -> np.ndarray:
    """Return the scores of the pivots, float64 (m,), by the quantisation of the configuration."""
    key = np.asarray(scores, np.float64).tobytes()
    return _quantised(key, config.pivots, config.quantisation).copy()


# Of a million scores this takes seconds: trials of one process share it, and so do the model and
# the streams of each.
@lru_cache(maxsize=4)
def _quantised(scores: bytes, pivots: int, quantisation: Quantisation) -> np.ndarray:
    values = np.frombuffer(scores, np.float64)
    if quantisation == "uniform":
        return uniform_pivot_scores(values, pivots)
    pinned = quantisation == "lloyd_max_pinned"
    return lloyd_max_pivot_scores(values, pivots, pinned_ends=pinned)
