"""What one reader finds in one data source, before sources are merged and split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rankloop.datasets.dataset import Split

# Columns of a list that count rather than drop: every reader uses these names.
PAIRS_WITH_MISSING_IMAGE = "pairs_with_missing_image"
TIES = "ties"


@dataclass(frozen=True)
class ImageRow:
    """One image of a source.

    Attributes:
        image: its name, unique within the source.
        uri: absolute local path, URI or ``package:`` URI of the photograph.
        crop: (x, y, width, height) in pixels of the (shrunk) photograph, or None for all of it.
        source: what it must share a split with; None when the reader does not know.
        split: the split that the data source itself gives, or None.
        score: its score in the direction of the part, or None.
        spread, distortion, level, points, region, longest_side: see IMAGE_SCHEMA.
    """

    image: str
    uri: str
    crop: tuple[int, int, int, int] | None = None
    source: str | None = None
    split: Split | None = None
    score: float | None = None
    spread: float | None = None
    distortion: str | None = None
    level: int | None = None
    points: Sequence[tuple[float, float]] | None = None
    region: bytes | None = None
    longest_side: int | None = None


@dataclass(frozen=True)
class Part:
    """All that one reader found.

    Attributes:
        images: at least one.
        pairs: labelled pairs as (better image, worse image), each unordered pair at most once.
        higher_is_better: direction of the scores; None when there are none.
        score_name: what the scores are; None when there are none.
        counts: see Dataset.counts.
        skipped: see Dataset.skipped.
        annotator: who made the labels; None for people.
    """

    images: Sequence[ImageRow]
    pairs: Sequence[tuple[str, str]] = ()
    higher_is_better: bool | None = None
    score_name: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    annotator: str | None = None

    @property
    def labelled(self) -> frozenset[str]:
        """Names of the images that are in a labelled pair or have a score."""
        scored = {row.image for row in self.images if row.score is not None}
        return frozenset(scored.union(*self.pairs))
