#!/usr/bin/env python
"""Pack data sources into Parquet shards."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

import tyro

from rankloop.cluster import refuse_temporary
from rankloop.command_line import at_least, read, run_job
from rankloop.datasets.options import SourceOptions
from rankloop.datasets.pack import write_pack
from rankloop.datasets.readers import shown_sources
from rankloop.progress import counter
from rankloop.shown import in_line
from rankloop.storage import open_folder, refuse_unwritable

DESCRIPTION = """Pack data sources into Parquet shards, so that a million images are read at full
speed from object storage. Files are packed as they are, with all that is known of them.

Examples:
  python jobs/ingest.py clive:CLIVE folder:photos --output s3://bucket/pack
  python jobs/train.py rankiqa --data pack:s3://bucket/pack

Running the same command again goes on after any crash. The last line printed is the pack."""


@dataclass(frozen=True)
class IngestOptions(SourceOptions):
    """Options of jobs/ingest.py."""

    output: Annotated[str, tyro.conf.arg(metavar="FOLDER-OR-URI")] = "pack"
    """Where the pack goes."""
    workers: int = 0
    """Files read at once; 0 means four per core."""


def main() -> str:
    """Run the job and return the pack's folder."""
    options = read(IngestOptions, DESCRIPTION, args=sys.argv[1:])
    at_least(0, workers=options.workers)
    refuse_temporary("--output", options.output)
    refuse_unwritable(options.output)
    part = options.read()
    folder = open_folder(options.output)
    with counter("packing photographs") as progress:
        skipped = write_pack(
            part,
            shown_sources(options.sources),
            folder,
            threads=options.workers or 4 * (os.cpu_count() or 1),
            on_progress=progress,
        )
    print(f"packed {len(part.images) - len(skipped)} images")
    for name, count in part.counts.items():
        print(f"{name.replace('_', ' ')}: {count}")
    missing = [*part.skipped, *skipped]
    if missing:
        print(f"skipped {len(missing)} images, which pack.json lists; the first:")
        for image, reason in missing[:10]:
            print(f"  {in_line(f'{image}: {reason}')}")
    return str(folder)


if __name__ == "__main__":
    run_job(main)
