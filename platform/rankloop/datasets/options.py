"""Data sources as options of a command line."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import psutil
import tyro

from rankloop.datasets.dataset import Dataset, Labels
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.part import Part
from rankloop.datasets.prepare import prepare
from rankloop.datasets.readers import read_sources
from rankloop.datasets.splits import SplitName
from rankloop.filesystems import CONNECTIONS
from rankloop.reading import reads_at_once

# Share of the machine's memory that decoded images may take; more is decoded as it is needed.
MEMORY_SHARE = 0.2


@dataclass(frozen=True)
class SourceOptions:
    """Data sources of jobs that neither split nor label."""

    data: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="READER:PATH")]] = (
        field(default=())
    )
    """Data sources, as in the other jobs' --data."""
    seed: int = 0
    """Seed of everything random, such as the crops of samples."""
    crops_per_photo: int = 40
    """Crops that samples cuts from each photograph; 0 for the photographs as they are. Not for
    discs."""
    strict: tyro.conf.FlagCreatePairsOff[bool] = False
    """Refuse data sources that list images which are not there, rather than skip and list them."""
    smoke: tyro.conf.FlagCreatePairsOff[bool] = False
    """Take photographs that come with the packages, and few of them, to try the job out."""

    def read(self) -> Part:
        """Return what the sources hold; of samples, where none is named, under ``smoke``.

        Raises:
            ConfigError: a source is not named as it should be, or none is named.
            DataError: one is missing, empty or malformed.
        """
        return read_sources(
            self.sources,
            seed=self.seed,
            crops_per_photo=self.crops_per_photo,
            strict=self.strict,
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources."""
        return self.data or (("samples",) if self.smoke else ())


@dataclass(frozen=True)
class DataOptions:
    """Which images, which labels, and how they are split."""

    data: tuple[str, ...] = ("samples",)
    """One or several data sources READER:PATH. samples: photographs shipped with scikit-image and
    scikit-learn; discs: the same with discs to count. folder:PATH: any tree of images, unlabelled.
    csv:PATH?higher_is_better=true: columns image, score. pairs:PATH: columns image_a, image_b,
    better (a, b or tie) and, if known, annotator, one row per vote. Images are looked for beside
    the file, or in ?images=FOLDER. ssranking:PATH: lists of the SSRanking release. pack:PATH: what
    jobs/ingest.py packed.
    Released data sets by their folder: tid2013, live, csiq, mlive, kadid10k, clive, bid, koniq10k,
    spaq, flive (scores); waterloo, places2 (photographs); shanghaitech, ucf_cc_50, worldexpo10,
    ucsd, ucf_qnrf (heads); ?split=official for tid2013, koniq10k and flive. Where nothing is
    labelled, a synthetic annotator hides a known blur in every image and labels by it."""
    seed: int = 0
    """Seed of everything random: splits, labels, initial weights, examples, suggestions."""
    source_pattern: str | None = None
    """Regular expression whose first group found in an image's name is its source; all images of a
    source stay on one side of the split. '(.+)_[0-9]+' keeps the photographs of an LFW person
    together, '(.+)_[0-9]+|(.+)-frame' also those of data named otherwise. An image in whose name it
    is not found is a source of its own."""
    split: SplitName = "70-15-15"
    """Shares of sources for training, validation and test, where a data source gives no split
    itself. 80-20 is the papers', of whose training part a tenth becomes validation; another seed is
    another split."""
    strict: tyro.conf.FlagCreatePairsOff[bool] = False
    """Refuse data sources that list images which are not there, rather than skip and list them."""
    crops_per_photo: int = 40
    """Crops that samples cuts from each photograph; 0 for the photographs as they are. Not for
    discs."""
    labels: int = 100
    """Labelled training pairs to draw from scores, or from the synthetic annotator, for methods
    that learn from pairs; others use every score of the training split."""
    label_error_rate: float = 0.05
    """Probability that the synthetic annotator errs on a training pair, in [0, 0.5)."""


def open_data(
    options: DataOptions,
    image_size: int | None,
    *,
    least_side: int = 1,
    learns_from: Labels = "pairs",
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Dataset, np.ndarray | None]:
    """Open the data sources and check every image, as `open_dataset` and `prepare` do.

    Raises:
        ConfigError: a value out of range.
        DataError: missing, empty or malformed data.
    """
    dataset = open_dataset(
        options.data,
        seed=options.seed,
        crops_per_photo=options.crops_per_photo,
        source_pattern=options.source_pattern,
        labels=options.labels,
        label_error_rate=options.label_error_rate,
        strict=options.strict,
        split=options.split,
        learns_from=learns_from,
    )
    cores = os.cpu_count() or 1
    reads = cores * reads_at_once(dataset.images["uri"])
    return prepare(
        dataset,
        image_size,
        max_bytes=int(MEMORY_SHARE * psutil.virtual_memory().total),
        threads=max(cores, min(reads, CONNECTIONS)),
        least_side=least_side,
        labels=learns_from,
        on_progress=on_progress,
    )
