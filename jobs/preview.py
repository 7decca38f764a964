#!/usr/bin/env python
"""Draw the ranked sets that can be made of photographs."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

import tyro

from rankloop.cluster import refuse_temporary
from rankloop.command_line import at_least, read, run_job
from rankloop.datasets.options import SourceOptions
from rankloop.previews import check_name, save_previews
from rankloop.ranking.recipes import RECIPES
from rankloop.shown import in_line
from rankloop.storage import open_folder, refuse_unwritable

DESCRIPTION = f"""Draw ranked sets of photographs as labelled contact sheets.

Examples:
  python jobs/preview.py samples --ranked-set gaussian_blur
  python jobs/preview.py folder:photos --ranked-set all --output preview
  python jobs/preview.py shanghaitech:part_A --ranked-set nested_crops --images 5

Ranked sets: all, quadruplet, {", ".join(RECIPES)}.

Images are drawn pixel by pixel. The last line printed is the folder of the PNGs."""


@dataclass(frozen=True)
class PreviewOptions(SourceOptions):
    """Options of jobs/preview.py."""

    crops_per_photo: int = 0
    """Crops that samples cuts from each photograph; 0 for the photographs as they are."""
    ranked_set: str = "all"
    """Which ranked set to draw."""
    output: Annotated[str, tyro.conf.arg(metavar="FOLDER")] = "preview"
    """Where the PNGs go."""
    images: int = 3
    """Photographs to draw sets of."""
    size: int = 224
    """Side in pixels of the sets' images."""


def main() -> str:
    """Run the job and return the folder of the pictures."""
    options = read(PreviewOptions, DESCRIPTION, args=sys.argv[1:])
    at_least(1, images=options.images, size=options.size)
    check_name(options.ranked_set)
    refuse_temporary("--output", options.output)
    refuse_unwritable(options.output)
    folder = open_folder(options.output)
    part = options.read()
    for name, count in part.counts.items():
        print(f"{name.replace('_', ' ')}: {count}")
    if part.skipped:
        first = in_line(part.skipped[0][0])
        print(f"{len(part.skipped)} listed images are not there, the first: {first}")
    skipped = save_previews(
        part,
        options.ranked_set,
        folder,
        images=1 if options.smoke else options.images,
        size=96 if options.smoke else options.size,
        seed=options.seed,
    )
    for image, reason in skipped:
        print(f"skipped {in_line(f'{image}: {reason}')}")
    return str(folder)


if __name__ == "__main__":
    run_job(main)
