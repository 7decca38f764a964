#!/usr/bin/env python
"""Score images with a trained model."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

import tyro

from rankloop.cluster import on_cluster, refuse_temporary
from rankloop.command_line import FolderOrUri, default_storage, read, run_job
from rankloop.datasets.locations import absolute
from rankloop.errors import ConfigError, DataError
from rankloop.methods import find_method
from rankloop.progress import counter
from rankloop.redaction import without_passwords
from rankloop.scoring.bulk import IN_PROCESS_LIMIT, Summary, score_paths
from rankloop.scoring.output import Output, find_output
from rankloop.scoring.paths import expand_paths, images_of_sources
from rankloop.scoring.result import scoring_folder, write_scoring_result
from rankloop.scoring.scorer import find_checkpoint
from rankloop.shown import in_line
from rankloop.storage import Folder, open_folder
from rankloop.training.checkpoints import Checkpoint

DESCRIPTION = f"""Score images with a trained model and write a table: image, score, error.

Examples:
  python jobs/score.py results/RESULT photos --output scores.csv
  python jobs/score.py results/RESULT/checkpoint a.jpg b.jpg --output scores.parquet
  python jobs/score.py s3://bucket/results/RESULT s3://bucket/photos --output s3://bucket/scores.csv
  python jobs/score.py results/COUNTING photos --output counts.csv --density maps
  python jobs/score.py results/RESULT --data koniq10k:KONIQ --output scores.csv

The checkpoint says which network looks at what of an image: its central square (ssranking), sub-
images whose places follow from the pixels (rankiqa), or all of it (qcn, gol, counting). An image
always has the same score: there is nothing to train or to draw, hence no --seed, --steps or
--backbone. Images are scored whole: --data whose images are crops (ssranking), shrunk (ucf_qnrf),
or looked at in a region of interest only (worldexpo10, ucsd) are refused. Images that cannot be
read get no score and the reason in the column error. Running the same command again after an
interruption goes on from the rows written before; after the end it scores again and replaces the
table.

With --workers above 1, or above {IN_PROCESS_LIMIT:,} images, the images are streamed through Ray
Data: embedded, or in a submitted job on its cluster, which needs image URIs or a file system that
all its nodes share; with --density this process scores alone. The last line printed is the result
folder."""

TABLE = "scores.csv"

SMOKE_IMAGES = 16


@dataclass(frozen=True)
class ScoreOptions:
    """Options of jobs/score.py."""

    checkpoint: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="CHECKPOINT")]]
    """Folder or URI of a result (the winner's model is taken), of a training run (its newest whole
    checkpoint), of a campaign of active learning (its newest cycle), or of one checkpoint."""
    paths: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH...")]] = ()
    """Images, or folders with images in them or below them; local or URIs."""
    data: Annotated[tuple[str, ...], tyro.conf.arg(metavar="READER:PATH...")] = ()
    """Data sources whose images are scored, too, as in the other jobs' --data."""
    output: Annotated[str | None, tyro.conf.arg(metavar="FILE-OR-URI")] = None
    """Table to write, .csv or .parquet: a path, or a URI such as s3://bucket/scores.csv. By default
    scores.csv here; of a submitted job, in the result folder."""
    storage: FolderOrUri = field(default_factory=default_storage)
    """Where the result folder goes, with what was scored and by which model in result.json. The
    default is the environment's RANKLOOP_STORAGE where that is set."""
    density: Annotated[str | None, tyro.conf.arg(metavar="FOLDER-OR-URI")] = None
    """Also write the density map of every image there, as .npy (people per cell of 16 x 16 pixels)
    and as a picture; of counting only."""
    workers: int = 0
    """Copies of the model that score at once through Ray Data; 1 scores in this process alone, and
    0 chooses by the number of images and what the machine or cluster has."""
    batch_size: int = 32
    """Images per call of the model."""
    smoke: tyro.conf.FlagCreatePairsOff[bool] = False
    """Score the first 16 images only, to try the job out."""


def main() -> str:
    """Run the job and return its result folder."""
    options = read(ScoreOptions, DESCRIPTION, args=sys.argv[1:])
    for name in ("output", "storage", "density"):
        if getattr(options, name) is not None:
            refuse_temporary(f"--{name}", getattr(options, name))
    chosen, skipped = _images(options)
    model = find_checkpoint(options.checkpoint)
    folder, output, shown = _places(options, model)
    with counter("images scored") as on_progress:
        summary = score_paths(
            model,
            [uri for uri, _ in chosen],
            output,
            workers=options.workers or None,
            batch_size=options.batch_size,
            names=[name for _, name in chosen],
            density=options.density,
            on_progress=on_progress,
        )
    _report(summary, shown)
    if skipped:
        print(f"{len(skipped)} images that --data lists are not there or cannot be used:")
        for image, reason in skipped[:10]:
            print(f"  {in_line(f'{image}: {reason}')}")
    if not summary.scored:
        raise DataError(
            f"none of {summary.failed} images could be scored; {shown} lists why, "
            f"the first: {summary.failures[0][1]}"
        )
    sources = (*options.paths, *options.data)
    write_scoring_result(folder, options.checkpoint, sources, output, summary)
    return str(folder)


def _images(options: ScoreOptions) -> tuple[list[tuple[str, str]], Sequence[tuple[str, str]]]:
    """URI and name of each image to score, and those that cannot be, with the reason."""
    if not options.paths and not options.data:
        raise ConfigError("no PATH is given: name the images or folders to score, or give --data")
    named = expand_paths(options.paths) if options.paths else []
    listed, skipped = images_of_sources(options.data) if options.data else ({}, ())
    # Of a file that is named in two ways, the data's own name is kept.
    images = {absolute(image): (image, image) for image in named}
    images |= {absolute(uri): (uri, name) for uri, name in listed.items()}
    return list(images.values())[: SMOKE_IMAGES if options.smoke else None], skipped


def _places(options: ScoreOptions, model: Checkpoint) -> tuple[Folder, Output, str]:
    """The result folder, the table, and what the table is called in messages."""
    storage = open_folder(options.storage)
    if options.output is None and on_cluster():
        # What a submitted job leaves anywhere else is lost.
        scored = json.dumps([options.paths, options.data, options.smoke])
        folder = scoring_folder(storage, model, scored)
        output = Output(folder, TABLE)
        return folder, output, str(output)
    given = options.output or TABLE
    output = find_output(given)
    return scoring_folder(storage, model, str(output)), output, without_passwords(given)


def _report(summary: Summary, table: str) -> None:
    print(f"{summary.scored} images scored, {summary.failed} failed")
    for image, reason in summary.failures:
        print(f"  {in_line(f'{image}: {reason}')}")
    if summary.failed > len(summary.failures):
        print(f"  and {summary.failed - len(summary.failures)} more, see the column error")
    direction = "higher" if summary.higher_is_better else "lower"
    method = find_method(summary.method)
    means = method.higher_means or "better"
    if method.density is not None and summary.negative:
        print(
            f"{summary.negative} of {summary.scored} counts are below 0: where there are people, "
            "the model is not trained enough for them"
        )
    print(f"{summary.method} scores: {direction} is {means}")
    print(f"table: {table}")


if __name__ == "__main__":
    run_job(main)
