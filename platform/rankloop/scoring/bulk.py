"""Score many images into a table, going on where a run before was cut off."""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rankloop.errors import ConfigError
from rankloop.redaction import without_passwords
from rankloop.scoring.density import map_files, score_by_density
from rankloop.scoring.output import Output, delivered, find_output
from rankloop.scoring.pipeline import BATCH, Score, scores_in_process
from rankloop.scoring.scorer import (
    ImageScorer,
    checkpoint_digest,
    find_checkpoint,
    make_scorer,
    no_density,
)
from rankloop.scoring.table import (
    Row,
    append_rows,
    finish,
    keep_beginning,
    open_partial,
    partial_path,
    read_rows,
)
from rankloop.storage import Folder, open_folder
from rankloop.training.checkpoints import Checkpoint

# Up to so many images this process scores them alone: starting Ray Data would take longer.
IN_PROCESS_LIMIT = 5_000
_LISTED = 10


@dataclass(frozen=True)
class Summary:
    """What became of the images.

    Attributes:
        scored: images that have a score.
        failed: images that have none.
        failures: the first ten of those, with the reason.
        negative: images with a score below 0.
        higher_is_better: whether a higher score means a better image.
        method: name of the method that trained the scorer.
        config: the method's configuration.
        digest: of the checkpoint; two have the same only if they score alike.
    """

    scored: int
    failed: int
    failures: tuple[tuple[str, str], ...]
    negative: int
    higher_is_better: bool
    method: str
    config: Mapping[str, Any]
    digest: str


def score_paths(
    location: str | Folder | Checkpoint,
    uris: Sequence[str],
    output: str | Path | Output,
    *,
    workers: int | None = None,
    batch_size: int = BATCH,
    names: Sequence[str] | None = None,
    density: str | Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Write the score of every image to a table with the columns ``image, score, error``.

    Rows are in the order of the images. An image that cannot be read has no score and the reason in
    ``error``. When the same call is made again after a crash, rows written before with the same
    model are kept, up to the first image that is not the same.

    Args:
        location: the checkpoint, or where it is, as ``load_scorer`` takes it.
        uris: local paths or URIs, see ``expand_paths``.
        output: path or URI of the table, ``.csv`` or ``.parquet``; replaced at the end if it
            exists.
        workers: copies of the model that score at once through Ray Data; 1 for none, all in this
            process. By default 1 for up to IN_PROCESS_LIMIT images, else what the machine or
            cluster has room for.
        batch_size: images per call of the model.
        names: what the table calls the images; their ``uris`` by default, without passwords.
        density: path or URI of a folder for density maps, see `map_files`; written by this
            process alone.
        on_progress: called with (images done, images in all).

    Raises:
        CheckpointError: there is no whole checkpoint.
        ConfigError: the output's format is unknown, or a number is below 1.
        LockedError: another process writes the same table.
        StorageError: the table cannot be written; the rows before stay.
    """
    place = output if isinstance(output, Output) else find_output(output)
    if density is not None and (workers or 1) > 1:
        raise ConfigError(f"{workers} workers: density maps are written by one process, give 1")
    if batch_size < 1 or (workers is not None and workers < 1):
        raise ConfigError(f"workers {workers}, batch_size {batch_size}: give numbers of at least 1")
    checkpoint = location if isinstance(location, Checkpoint) else find_checkpoint(location)
    scorer = make_scorer(checkpoint, "cuda" if torch.cuda.is_available() else "cpu")
    digest = checkpoint_digest(checkpoint)
    if density is not None and scorer.method.density is None:
        raise no_density(scorer.method)
    names = [without_passwords(name) for name in (uris if names is None else names)]
    maps = None if density is None else open_folder(str(density))
    files = [] if density is None else map_files(names)
    # Rows that were written without maps, or with maps elsewhere, are not gone on from.
    started = hashlib.sha256(f"{digest} {maps}".encode()).hexdigest() if maps else digest
    with delivered(place, started) as (table, appended), open_partial(table, started) as file:
        done = keep_beginning(file, names)
        on_progress(done, len(uris))
        if maps is None:
            scores = _scores(checkpoint, scorer, uris[done:], workers, batch_size)
        else:
            scores = _scores_with_maps(scorer, uris[done:], maps, files[done:], batch_size)
        with closing(scores):
            for some in scores:
                named = zip(names[done : done + len(some)], some, strict=True)
                append_rows(file, [Row(name, *score) for name, score in named])
                done += len(some)
                appended()
                on_progress(done, len(uris))
        failures, failed, negative = _looked_through(partial_path(table, started))
        finish(table, started)
    return Summary(
        scored=len(uris) - failed,
        failed=failed,
        failures=failures,
        negative=negative,
        higher_is_better=scorer.higher_is_better,
        method=scorer.method.name,
        config=checkpoint.config["config"],
        digest=digest,
    )


def _scores(
    checkpoint: Checkpoint,
    scorer: ImageScorer,
    uris: Sequence[str],
    workers: int | None,
    batch_size: int,
) -> Generator[list[Score], None, None]:
    if not uris:
        return
    if workers == 1 or (workers is None and len(uris) <= IN_PROCESS_LIMIT):
        yield from scores_in_process(scorer, uris, batch_size)
        return
    # Ray takes seconds to import.
    from rankloop.scoring.distributed import scores_by_ray

    yield from scores_by_ray(checkpoint, scorer, uris, workers, batch_size)


def _scores_with_maps(
    scorer: ImageScorer, uris: Sequence[str], maps: Folder, files: Sequence[str], batch_size: int
) -> Generator[list[Score], None, None]:
    if uris:
        yield from scores_in_process(
            scorer,
            uris,
            batch_size,
            lambda decoded, start: score_by_density(
                scorer, decoded, maps, files[start : start + len(decoded)]
            ),
        )


def _looked_through(table: Path) -> tuple[tuple[tuple[str, str], ...], int, int]:
    """First failures, how many there are, and how many scores are below 0."""
    listed: list[tuple[str, str]] = []
    failed = negative = 0
    for row in read_rows(table):
        if row.score is None:
            failed += 1
            if len(listed) < _LISTED:
                listed.append((row.image, row.error))
        else:
            negative += row.score < 0
    return tuple(listed), failed, negative
