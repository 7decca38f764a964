"""The one form that every data source is read into."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Split = Literal["train", "validation", "test"]
# What a method learns from.
Labels = Literal["pairs", "scores", "points"]
# What `score_name` is where the score is the number of points.
HEAD_COUNT = "count"
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

IMAGE_SCHEMA = pa.schema(
    [
        # Unique name of the image within the dataset.
        pa.field("image", pa.string(), nullable=False),
        # Where its bytes are: a local path, an URI, or "package:skimage/data/coffee.png".
        pa.field("uri", pa.string(), nullable=False),
        # (x, y, width, height) in pixels of the photograph, shrunk to longest_side if there is one;
        # null for all of it.
        pa.field("crop", pa.list_(pa.int32(), 4)),
        # The photograph (or person, or reference) it comes from: never on two sides of a split.
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        # Standard deviation, in pixels of the loaded (resized) image, of the Gaussian blur that the
        # synthetic annotator hid in it; applied whenever the image is loaded. Null: no blur.
        pa.field("hidden_blur", pa.float64()),
        # Opinion score, test rank, hidden strength or number of people; its direction is
        # Dataset.higher_is_better.
        pa.field("score", pa.float64()),
        # Standard deviation of the opinions behind the score, on its scale; of tid2013 what its
        # release gives, by its size the standard error of the score.
        pa.field("spread", pa.float64()),
        # What was done to a reference image: a name of rankloop.distortions where it is one of
        # them, else the data set's own; null for references and photographs as they are.
        pa.field("distortion", pa.string()),
        # Strength of the distortion as the data set numbers it, 1 the weakest; null where its
        # numbers are no strengths.
        pa.field("level", pa.int32()),
        # Heads as (x, y) in pixels of the photograph, the middle of the first pixel being (0, 0).
        pa.field("points", pa.list_(pa.list_(pa.float32(), 2))),
        # PNG of the photograph's size, 0 outside the region of interest; null for all of it.
        pa.field("region", pa.binary()),
        # Larger photographs are shrunk to this longest side when they are loaded, before any crop;
        # points and region stay as they are in the file.
        pa.field("longest_side", pa.int32()),
    ]
)

PAIR_SCHEMA = pa.schema(
    [
        pa.field("better", pa.string(), nullable=False),
        pa.field("worse", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Dataset:
    """Images, what is known of their order, and the split of each.

    Attributes:
        name: the data sources as named on the command line, e.g. ``"folder:photos"``.
        images: table with IMAGE_SCHEMA, one row per image.
        pairs: table with PAIR_SCHEMA: labelled pairs; both images of a pair are in its split.
        higher_is_better: direction of the ``score`` column; None when no image has a score.
        score_name: what ``score`` is, for tables and plots, e.g. ``"MOS"``.
        annotator: who labelled: ``"human"``, ``"none"``, or ``"synthetic, error rate 0.05"``.
        counts: what happened on the way, e.g. ``{"ties": 3, "pairs_across_splits": 12}``.
        skipped: images that are missing or could not be read: (image, reason).
    """

    name: str
    images: pa.Table
    pairs: pa.Table
    higher_is_better: bool | None
    score_name: str | None
    annotator: str
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def is_synthetic(self) -> bool:
        """Whether the labels are the synthetic annotator's, which must be said of any number."""
        return self.annotator.startswith("synthetic")


def split_indices(dataset: Dataset, split: Split) -> np.ndarray:
    """Return the rows of ``dataset.images`` that are in a split, int64 (n,), ascending."""
    return np.flatnonzero(_numpy(pc.equal(dataset.images["split"], split)))


def pair_indices(dataset: Dataset, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return a split's labelled pairs as rows of ``dataset.images``.

    Returns:
        better, worse: int64 (n,) each; pair i is (better[i], worse[i]).
    """
    pairs = dataset.pairs.filter(pc.equal(dataset.pairs["split"], split))
    names = dataset.images["image"].combine_chunks()
    better, worse = (
        _numpy(pc.index_in(pairs[side], value_set=names)).astype(np.int64)
        for side in ("better", "worse")
    )
    return better, worse


def _numpy(values: Any) -> np.ndarray:
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array
