#!/usr/bin/env python
"""Score images with a trained model."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

import tyro

from rankloop.cluster import refuse_temporary
from rankloop.command_line import default_storage, read, run_job
from rankloop.datasets.locations import absolute
from rankloop.errors import ConfigError, DataError
from rankloop.methods import find_method
from rankloop.progress import counter
from rankloop.scoring.bulk import IN_PROCESS_LIMIT, Summary, score_paths
from rankloop.scoring.paths import expand_paths, images_of_sources
from rankloop.scoring.result import write_scoring_result
from rankloop.storage import open_folder

DESCRIPTION = f"""Score images with a trained model and write a table: image, score, error.

Examples:
  python jobs/score.py results/RESULT photos --output scores.csv
  python jobs/score.py results/RESULT/checkpoint a.jpg b.jpg --output scores.parquet
  python jobs/score.py s3://bucket/results/RESULT s3://bucket/photos --workers 8
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
Data: embedded, or on the cluster at RAY_ADDRESS, which needs image URIs or a file system that all
its nodes share; with --density this process scores alone. The last line printed is the result
folder."""

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
    output: Path = Path("scores.csv")
    """Table to write: .csv or .parquet."""
    storage: Annotated[str, tyro.conf.arg(metavar="FOLDER-OR-URI")] = field(
        default_factory=default_storage
    )
    """Where the result folder goes, with what was scored and by which model in result.json. The
    default is the environment's RANKLOOP_STORAGE where that is set."""
    density: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
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
    refuse_temporary("--output", str(options.output))
    refuse_temporary("--storage", options.storage)
    if options.density is not None:
        refuse_temporary("--density", str(options.density))
    if not options.paths and not options.data:
        raise ConfigError("no PATH is given: name the images or folders to score, or give --data")
    storage = open_folder(options.storage)
    named = expand_paths(options.paths) if options.paths else []
    listed, skipped = images_of_sources(options.data) if options.data else ({}, ())
    # Of a file that is named in two ways, the data's own name is kept.
    images = {absolute(image): (image, image) for image in named}
    images |= {absolute(uri): (uri, name) for uri, name in listed.items()}
    chosen = list(images.values())[: SMOKE_IMAGES if options.smoke else None]
    with counter("images scored") as on_progress:
        summary = score_paths(
            options.checkpoint,
            [uri for uri, _ in chosen],
            options.output,
            workers=options.workers or None,
            batch_size=options.batch_size,
            names=[name for _, name in chosen],
            density=options.density,
            on_progress=on_progress,
        )
    _report(summary, options.output)
    if skipped:
        print(f"{len(skipped)} images that --data lists are not there or cannot be used:")
        for image, reason in skipped[:10]:
            print(f"  {image}: {reason}")
    if not summary.scored:
        raise DataError(
            f"none of {summary.failed} images could be scored; {options.output} lists why, "
            f"the first: {summary.failures[0][1]}"
        )
    return str(
        write_scoring_result(
            storage,
            options.checkpoint,
            (*options.paths, *options.data),
            options.output,
            summary,
        )
    )


def _report(summary: Summary, output: Path) -> None:
    print(f"{summary.scored} images scored, {summary.failed} failed")
    for image, reason in summary.failures:
        print(f"  {image}: {reason}")
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
    print(f"table: {output}")


if __name__ == "__main__":
    run_job(main)
