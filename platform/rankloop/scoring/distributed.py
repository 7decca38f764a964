"""Score images through Ray Data: tasks decode, actors hold the model."""

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from rankloop import npy
from rankloop.datasets.locations import absolute
from rankloop.errors import ConfigError
from rankloop.methods import find_method
from rankloop.scoring.pipeline import Score, decode, score_decoded
from rankloop.scoring.scorer import ImageScorer, make_scorer
from rankloop.shown import warn_without_passwords
from rankloop.training.checkpoints import Checkpoint
from rankloop.waiting import Begun, Waiting, needed

# Half a core each, so that a machine with one core has room for a model and a decoding task;
# a pipeline whose actors take all cores waits for ever.
_CPUS = 0.5
_BATCHES_PER_BLOCK = 4


def scores_by_ray(
    checkpoint: Checkpoint,
    scorer: ImageScorer,
    uris: Sequence[str],
    workers: int | None,
    batch_size: int,
) -> Iterator[list[Score]]:
    """Yield the scores of the images in their order, some at a time.

    Args:
        checkpoint: what to score with; it travels to the workers, the images do not, so that a
            cluster needs URIs or a file system that all its nodes share.
        scorer: the same, in this process.
        uris: local paths or URIs.
        workers: copies of the model, on a GPU each where there are any; by default as many as the
            cluster has GPUs, or else cores.
        batch_size: images per call of the model.

    Raises:
        ConfigError: the cluster has no room for so many workers.
    """
    from rankloop.cluster import connected, most_gpus

    # The driver's C++ part calls the way Ray Data starts its actors an error, on stderr.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with connected(workers), Begun() as begun:
        import ray
        import ray.data

        ray.data.DataContext.get_current().enable_progress_bars = False
        # Ray Data would tell of every stage, and warn that its progress bars are off.
        logging.getLogger("ray.data").setLevel(logging.ERROR)

        cpus = int(ray.cluster_resources().get("CPU", 0))
        gpus = most_gpus()
        workers = workers or gpus or cpus
        if workers > (gpus or 2 * cpus - 1):
            raise ConfigError(
                f"{workers} workers do not fit a cluster of {cpus} cores and {gpus} GPUs: "
                f"give --workers {gpus or 2 * cpus - 1} or fewer"
            )
        rows = [{"index": i, "uri": absolute(uri)} for i, uri in enumerate(uris)]
        blocks = -(-len(rows) // (batch_size * _BATCHES_PER_BLOCK))
        dataset = ray.data.from_items(rows, override_num_blocks=blocks)
        dataset.context.execution_options.preserve_order = True
        scored = dataset.map_batches(
            partial(_decode_batch, method=scorer.method.name, config=scorer.config),
            batch_size=batch_size,
            num_cpus=_CPUS,
        ).map_batches(
            _Model,
            fn_constructor_args=(ray.put(checkpoint), begun),
            batch_size=batch_size,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=_CPUS,
            num_gpus=1 if gpus else 0,
        )
        done = 0
        waiting = Waiting(needed(float(bool(gpus)), _CPUS, "copy of the model"))
        for batch in waiting.for_first(scored.iter_batches(batch_size=None), begun):
            if batch["index"].tolist() != list(range(done, done + len(batch["index"]))):
                raise RuntimeError(f"Ray Data gave rows out of order at image {done}")
            done += len(batch["index"])
            yield [
                (None, error) if error else (score, "")
                for score, error in zip(batch["score"].tolist(), batch["error"], strict=True)
            ]


def _decode_batch(batch: dict[str, np.ndarray], method: str, config: Any) -> dict[str, Any]:
    found = find_method(method)
    decoded = [decode(str(uri), found, config) for uri in batch["uri"]]
    return {
        "index": batch["index"],
        "views": [b"" if isinstance(item, str) else npy.to_bytes(item) for item in decoded],
        "error": [item if isinstance(item, str) else "" for item in decoded],
    }


class _Model:
    def __init__(self, checkpoint: Any, begun: Begun) -> None:
        import ray
        import torch

        # To Ray's logs, which others can read.
        warn_without_passwords()
        begun.say()
        # Ray hands the reference on, so that the tensors travel once to every node.
        checkpoint = ray.get(checkpoint)
        self._scorer = make_scorer(checkpoint, "cuda" if torch.cuda.is_available() else "cpu")

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        pairs = zip(batch["views"], batch["error"], strict=True)
        decoded = [str(error) or npy.from_bytes(views) for views, error in pairs]
        scores = score_decoded(self._scorer, decoded)
        return {
            "index": batch["index"],
            "score": np.array([np.nan if s is None else s for s, _ in scores], np.float32),
            "error": [error for _, error in scores],
        }
