"""Certainty of every item of a pool, through Ray Data, as a table."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rankloop import npy
from rankloop.active.certainty import PAIRS, certainty, certainty_sets
from rankloop.active.items import Item
from rankloop.cluster import most_gpus
from rankloop.errors import ImageError
from rankloop.methods import find_method
from rankloop.methods.method import TrainingData
from rankloop.scoring.scorer import ImageScorer, make_scorer
from rankloop.shown import warn_without_passwords
from rankloop.training.checkpoints import Checkpoint
from rankloop.waiting import Begun, Waiting, needed

# Half a core each, so that a machine with one core has room for a model and a making task.
_CPUS = 0.5
_BATCH = 4
_MOST_BLOCKS = 1000


@dataclass(frozen=True)
class ItemScore:
    """What a scorer makes of an item.

    Attributes:
        name: the item's.
        certainty: C of eq. 15; NaN where it could not be measured.
        score: mean score of its unworsened versions, in the method's direction; NaN as above.
        forwards: images that went through the network for it.
        features: mean features of its unworsened versions, float32 (f,); empty as above, and where
            they were not asked for.
        error: why it could not be measured, or "".
    """

    name: str
    certainty: float
    score: float
    forwards: int
    features: np.ndarray
    error: str = ""


@dataclass(frozen=True)
class _Making:
    """What tasks and actors need to know; travels to each once."""

    method: str
    config: Any
    data: TrainingData
    seed: int
    pairs: int
    with_features: bool


def score_items(
    checkpoint: Checkpoint,
    items: Sequence[Item],
    data: TrainingData,
    *,
    seed: int,
    workers: int | None = None,
    pairs: int = PAIRS,
    with_features: bool = False,
    on_wait: Callable[[str], object] = lambda line: None,
) -> Iterator[list[ItemScore]]:
    """Yield the scores of items in their order, some at a time.

    Ranked sets are made by Ray Data tasks, scored by a pool of actors that hold the model. Which
    they are depends on (item, seed) alone, so that scores do not depend on the number of workers.

    Args:
        checkpoint: of the scorer.
        items: of the pool.
        data: their images.
        seed: the campaign's.
        workers: actors, on a GPU each where there are any; by default as many as the cluster has
            GPUs, or else cores; 0 scores in this process, without Ray.
        pairs: K of eq. 15.
        with_features: also pass one image of each ranked set through the network for features.
        on_wait: told every minute what is waited for, until the first are being scored.
    """
    if not items:
        return
    scorer = make_scorer(checkpoint, "cuda" if torch.cuda.is_available() else "cpu")
    making = _Making(scorer.method.name, scorer.config, data, seed, pairs, with_features)
    if workers == 0:
        for start in range(0, len(items), _BATCH):
            yield [
                _scored(scorer, making, item.name, *_images_of(item, making))
                for item in items[start : start + _BATCH]
            ]
        return
    with Begun() as begun:
        yield from _by_ray(checkpoint, making, items, workers, begun, on_wait)


def _by_ray(
    checkpoint: Checkpoint,
    making: _Making,
    items: Sequence[Item],
    workers: int | None,
    begun: Begun,
    on_wait: Callable[[str], object],
) -> Iterator[list[ItemScore]]:
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    cpus = int(ray.cluster_resources().get("CPU", 1))
    gpus = most_gpus()
    # Enough for all cores, also of a small pool.
    blocks = max(-(-len(items) // (4 * _BATCH)), 4 * cpus)
    blocks = min(blocks, -(-len(items) // _BATCH), _MOST_BLOCKS)
    workers = max(1, min(workers or gpus or cpus, gpus or 2 * cpus - 1, blocks))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = [
        {"index": i, "name": item.name, "rows": list(item.rows), "levels": list(item.levels)}
        for i, item in enumerate(items)
    ]
    dataset = ray.data.from_items(rows, override_num_blocks=blocks)
    dataset.context.execution_options.preserve_order = True
    known = ray.put(making)
    scored = dataset.map_batches(
        _make, fn_kwargs={"known": known}, batch_size=_BATCH, num_cpus=_CPUS
    ).map_batches(
        _Actor,
        fn_constructor_args=(ray.put(checkpoint), known, begun),
        batch_size=_BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=_CPUS,
        num_gpus=1 if gpus else 0,
    )
    waiting = Waiting(needed(float(bool(gpus)), _CPUS, "copy of the model"), on_wait)
    for batch in waiting.for_first(scored.iter_batches(batch_size=None), begun):
        yield [
            ItemScore(
                items[int(index)].name,
                float(batch["certainty"][i]),
                float(batch["score"][i]),
                int(batch["forwards"][i]),
                np.asarray(batch["features"][i], np.float32),
                str(batch["error"][i]),
            )
            for i, index in enumerate(batch["index"])
        ]


# Once per process: the tables of a large data set take long to unpack.
@lru_cache(maxsize=2)
def _fetched(reference: Any) -> _Making:
    import ray

    making: _Making = ray.get(reference)
    return making


def _make(batch: dict[str, np.ndarray], known: Any) -> dict[str, list[Any]]:
    making = _fetched(known)
    made: dict[str, list[Any]] = {
        name: [] for name in ("index", "name", "images", "levels", "sets", "error")
    }
    columns = (batch[name] for name in ("index", "name", "rows", "levels"))
    for index, name, rows, levels in zip(*columns, strict=True):
        item = Item(str(name), tuple(map(int, rows)), tuple(map(int, levels)))
        for column, value in zip(
            made, (int(index), item.name, *_images_of(item, making)), strict=True
        ):
            made[column].append(value)
    return made


def _images_of(item: Item, making: _Making) -> tuple[bytes, bytes, bytes, str]:
    """Images, levels and set sizes of an item as NumPy files: lengths differ between items."""
    try:
        sets = certainty_sets(
            item,
            making.data.load,
            find_method(making.method),
            making.config,
            seed=making.seed,
            pairs=making.pairs,
        )
    except ImageError as error:
        return b"", b"", b"", str(error)
    return (
        npy.to_bytes(np.concatenate([made.images for made in sets])),
        npy.to_bytes(np.concatenate([made.levels for made in sets])),
        npy.to_bytes(np.array([len(made.levels) for made in sets])),
        "",
    )


class _Actor:
    def __init__(self, checkpoint: Any, known: Any, begun: Begun) -> None:
        import ray

        # To Ray's logs, which others can read.
        warn_without_passwords()
        begun.say()
        self._scorer = make_scorer(
            ray.get(checkpoint), "cuda" if torch.cuda.is_available() else "cpu"
        )
        self._making = _fetched(known)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        columns = (batch[name] for name in ("name", "images", "levels", "sets", "error"))
        found = [
            _scored(self._scorer, self._making, str(name), *packed)
            for name, *packed in zip(*columns, strict=True)
        ]
        return {
            "index": batch["index"].tolist(),
            "certainty": [score.certainty for score in found],
            "score": [score.score for score in found],
            "forwards": [score.forwards for score in found],
            "features": [score.features.tolist() for score in found],
            "error": [score.error for score in found],
        }


def _scored(
    scorer: ImageScorer,
    making: _Making,
    name: str,
    images: bytes,
    levels: bytes,
    sets: bytes,
    error: str,
) -> ItemScore:
    if error:
        return ItemScore(name, np.nan, np.nan, 0, np.empty(0, np.float32), str(error))
    of_each = np.split(npy.from_bytes(levels), np.cumsum(npy.from_bytes(sets))[:-1])
    return score_item(
        scorer,
        name,
        npy.from_bytes(images),
        of_each,
        seed=making.seed,
        pairs=making.pairs,
        with_features=making.with_features,
    )


def score_item(
    scorer: ImageScorer,
    name: str,
    images: np.ndarray,
    levels: Sequence[np.ndarray],
    *,
    seed: int,
    pairs: int,
    with_features: bool = False,
) -> ItemScore:
    """Score an item by the images of its ranked sets.

    Args:
        scorer: what scores them.
        name: the item's.
        images: uint8 (n, s, s, 3), all sets one after the other.
        levels: int (m, d) of each set.
        seed: the campaign's.
        pairs: K of eq. 15.
        with_features: see `score_items`.
    """
    scores = scorer.score_views(list(images[:, np.newaxis]))
    value = certainty(
        scores,
        levels,
        name=name,
        seed=seed,
        higher_is_better=scorer.higher_is_better,
        pairs=pairs,
    )
    # The least worsened version of each set, whose features the forward passes do not return.
    starts = np.cumsum([0, *(len(each) for each in levels[:-1])])
    best = starts + [int(each.sum(axis=1).argmin()) for each in levels]
    features, forwards = np.empty(0, np.float32), len(images)
    if with_features:
        batch = torch.tensor(images[best]).permute(0, 3, 1, 2).to(scorer.device)
        features = scorer.method.features(scorer.model, batch).mean(dim=0).cpu().numpy()
        forwards += len(best)
    return ItemScore(name, value, float(scores[best].mean()), forwards, features)


def scores_table(scores: Sequence[ItemScore]) -> pa.Table:
    """Return scores as a table: item, certainty, score, forwards, error (null for none)."""
    return pa.table(
        {
            "item": [score.name for score in scores],
            "certainty": pa.array([_known(score.certainty) for score in scores], pa.float64()),
            "score": pa.array([_known(score.score) for score in scores], pa.float64()),
            "forwards": pa.array([score.forwards for score in scores], pa.int64()),
            "error": pa.array([score.error or None for score in scores], pa.string()),
        }
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
