"""Score images on all cores of this process."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from rankloop.errors import RankloopError
from rankloop.methods.method import Method
from rankloop.scoring.scorer import ImageScorer, read_views

BATCH = 32
# A score, or None and why there is none.
Score = tuple[float | None, str]


def scores_in_process(
    scorer: ImageScorer,
    images: Sequence[bytes | str],
    batch_size: int = BATCH,
    scores_of: Callable[[Sequence[np.ndarray | str], int], list[Score]] | None = None,
) -> Iterator[list[Score]]:
    """Yield the scores of images in their order, a batch at a time.

    Args:
        scorer: what scores them.
        images: contents, paths or URIs of image files.
        batch_size: most images per call of the model.
        scores_of: (what `decode` gave of some images, number of the first) to their scores; by
            default `score_decoded`.
    """
    threads = torch.get_num_threads()
    size = max(1, min(batch_size, -(-len(images) // threads)))

    def score(start: int) -> list[Score]:
        batch = images[start : start + size]
        decoded = [decode(image, scorer.method, scorer.config) for image in batch]
        return scores_of(decoded, start) if scores_of else score_decoded(scorer, decoded)

    # Every core decodes and scores batches of its own: 1.2 to 1.7 times as fast as decoding beside
    # a model that computes on all cores, where threads wait for each other in every layer.
    pool = ThreadPoolExecutor(threads, "rankloop-score", torch.set_num_threads, (1,))
    try:
        with pool:
            yield from pool.map(score, range(0, len(images), size))
    finally:
        # What the threads set for themselves is also the default of threads to come.
        torch.set_num_threads(threads)


def decode(image: bytes | str, method: Method, config: Any) -> np.ndarray | str:
    """Return an image's views, uint8 (k, h, w, 3), or why it cannot be read."""
    try:
        return read_views(image, method, config)
    except (RankloopError, OSError) as error:
        reason = str(error) or type(error).__name__
        return reason.removeprefix(f"{image}: ") if isinstance(image, str) else reason


def score_decoded(scorer: ImageScorer, decoded: Sequence[np.ndarray | str]) -> list[Score]:
    """Score what ``decode`` gave."""
    arrays = [item for item in decoded if not isinstance(item, str)]
    scores = iter(scorer.score_views(arrays).tolist())
    return [(None, item) if isinstance(item, str) else (next(scores), "") for item in decoded]
