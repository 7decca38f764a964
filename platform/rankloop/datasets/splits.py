"""Train, validation and test: whole sources, so that no photograph is on two sides."""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from rankloop.datasets.dataset import SPLITS, Dataset, Labels, Split
from rankloop.datasets.part import ImageRow
from rankloop.errors import DataError
from rankloop.randomness import rng

# Shares of train, validation and test, of the sources. The papers divide 80 to 20 by reference and
# choose nothing by validation; here a tenth of their training part is left for that.
SplitName = Literal["70-15-15", "80-20"]
SHARES: Mapping[SplitName, tuple[float, float, float]] = {
    "70-15-15": (0.7, 0.15, 0.15),
    "80-20": (0.72, 0.08, 0.2),
}
FRACTIONS = SHARES["70-15-15"]


def split_by_source(
    sources: Collection[str],
    *,
    seed: int,
    fractions: Sequence[float] = FRACTIONS,
    pairs: Iterable[tuple[str, str]] = (),
) -> dict[str, Split]:
    """Assign whole sources to splits at random.

    The result depends on the set of sources (and pairs), not on their order.

    Args:
        sources: their names.
        seed: the run's seed.
        fractions: shares of train, validation and test; those above 0 are never empty.
        pairs: sources of labelled pairs, if any. Validation and test are then grown along them,
            so that fewer pairs have an image on each side, where they are of no use; of a sparse
            list, hardly any pair would lie within validation otherwise.

    Raises:
        DataError: fewer sources than splits.
    """
    used = [(split, share) for split, share in zip(SPLITS, fractions, strict=True) if share > 0]
    unique = sorted(set(sources))
    if len(unique) < len(used):
        raise DataError(
            f"{len(unique)} sources cannot be divided into {', '.join(s for s, _ in used)}: "
            f"give images of at least {len(used)} different sources (photographs, or groups of a "
            "source pattern)"
        )
    random = rng(seed, "split by source")
    rank = {unique[i]: place for place, i in enumerate(random.permutation(len(unique)))}
    partners: dict[str, set[str]] = {name: set() for name in unique}
    for a, b in pairs:
        if a != b:
            partners[a].add(b)
            partners[b].add(a)
    total = sum(share for _, share in used)
    assigned: dict[str, Split] = {}
    # Train takes what the others leave, and all have at least one.
    for still_to_fill, (split, share) in reversed(list(enumerate(used))):
        left = len(unique) - len(assigned)
        wanted = max(1, round(len(unique) * share / total)) if still_to_fill else left
        pool = {name: place for name, place in rank.items() if name not in assigned}
        for name in _grown(pool, partners, min(wanted, left - still_to_fill)):
            assigned[name] = split
    return assigned


def _grown(
    pool: Mapping[str, int], partners: Mapping[str, Collection[str]], number: int
) -> list[str]:
    """Return sources of the pool, always adding the one with most of its partners inside.

    Equals, such as all sources at the start, come in the order of their rank in the pool.
    """
    inside = dict.fromkeys(pool, 0)
    queue = [(0.0, place, name) for name, place in pool.items()]
    heapq.heapify(queue)
    chosen: dict[str, None] = {}
    while len(chosen) < number:
        # An entry made before its source gained partners comes after the newer one.
        _, _, name = heapq.heappop(queue)
        if name in chosen:
            continue
        chosen[name] = None
        for partner in partners[name]:
            if partner in pool and partner not in chosen:
                inside[partner] += 1
                share = inside[partner] / len(partners[partner])
                heapq.heappush(queue, (-share, pool[partner], partner))
    return list(chosen)


def assign_splits(
    images: Sequence[ImageRow],
    labelled: Collection[str],
    pairs: Iterable[tuple[str, str]],
    *,
    seed: int,
    shares: Sequence[float] = FRACTIONS,
) -> dict[str, Split]:
    """Return the split of each image.

    A split that the data source gives stands, and the source's other images follow it. The other
    sources that hold a label are divided among the splits that nothing was given for, and train.
    Sources without any label have nothing to measure on: they go to train, as unlabelled images.

    Args:
        images: with their sources.
        labelled: names of the images that have a label.
        pairs: labelled pairs of image names.
        seed: the run's seed.
        shares: of train, validation and test.

    Raises:
        DataError: too few sources to divide.
    """
    source_of = {row.image: row.source or row.image for row in images}
    given = {source_of[row.image]: row.split for row in images if row.split is not None}
    measured = {source_of[image] for image in labelled} - set(given)
    partners = [
        (source_of[better], source_of[worse])
        for better, worse in pairs
        if measured.issuperset((source_of[better], source_of[worse]))
    ]
    taken = set(given.values()) - {"train"}
    fractions = [
        0.0 if split in taken else share for split, share in zip(SPLITS, shares, strict=True)
    ]
    drawn = (
        split_by_source(measured, seed=seed, fractions=fractions, pairs=partners)
        if measured
        else {}
    )
    of_source: dict[str, Split] = given | drawn
    # An image's own split comes first, so that a source given twice is found by check_no_leak.
    return {row.image: row.split or of_source.get(source_of[row.image], "train") for row in images}


def within_splits(
    pairs: Iterable[tuple[str, str]], split_of: Mapping[str, Split]
) -> tuple[list[tuple[str, str, Split]], int]:
    """Return the pairs whose images share a split, with it, and how many do not."""
    kept: list[tuple[str, str, Split]] = []
    across = 0
    for better, worse in pairs:
        if split_of[better] == split_of[worse]:
            kept.append((better, worse, split_of[better]))
        else:
            across += 1
    return kept, across


def check_no_leak(dataset: Dataset) -> None:
    """Check that no source, photograph or labelled pair is on two sides of a split.

    Raises:
        DataError: one is; names it and both splits.
    """
    splits = dataset.images["split"].to_pylist()
    for column in ("source", "uri"):
        names = dataset.images[column].to_pylist()
        sides = Counter(name for name, _ in set(zip(names, splits, strict=True)))
        leaking = sorted(name for name, number in sides.items() if number > 1)
        if leaking:
            of_first = sorted({s for n, s in zip(names, splits, strict=True) if n == leaking[0]})
            raise DataError(
                f"{column} {leaking[0]!r} is in {' and '.join(of_first)} ({len(leaking)} such): "
                "give all images of a source the same split, or none"
            )
    split_of = dict(zip(dataset.images["image"].to_pylist(), splits, strict=True))
    for pair in dataset.pairs.to_pylist():
        if not pair["split"] == split_of[pair["better"]] == split_of[pair["worse"]]:
            raise DataError(
                f"the pair {pair['better']!r}, {pair['worse']!r} of {pair['split']} has an image "
                "in another split: drop it"
            )


def check_labelled(dataset: Dataset, labels: Labels = "pairs") -> None:
    """Check that there is something to learn from and something to choose by.

    Raises:
        DataError: no labelled pair, or fewer than two scores, in train, whichever is learned from;
            or neither a labelled pair nor two scores in validation.
    """
    in_split = dataset.pairs["split"].to_pylist()
    counts = {name.replace("_", " "): number for name, number in dataset.counts.items() if number}
    dropped = ", ".join(f"{name}: {number}" for name, number in counts.items())
    dropped = f" ({dropped})" if dropped else ""
    scored = Counter(
        split
        for score, split in zip(
            dataset.images["score"].to_pylist(), dataset.images["split"].to_pylist(), strict=True
        )
        if score is not None
    )
    if labels == "pairs" and "train" not in in_split:
        raise DataError(
            f"no labelled pair lies within the training split{dropped}: label more pairs, or give "
            "images of more sources"
        )
    if labels == "scores" and scored["train"] < 2:
        raise DataError(
            f"{scored['train']} images of the training split have a score{dropped}: this method "
            "learns from scores, so give at least two images with one"
        )
    if labels == "points":
        pointed = dataset.images.filter(dataset.images["points"].is_valid())
        if "train" not in pointed["split"].to_pylist():
            raise DataError(
                f"no image of the training split has head points{dropped}: this method learns "
                "where heads are, so give a data set with points, such as shanghaitech:PATH"
            )
    if "validation" not in in_split and scored["validation"] < 2:
        images = dataset.images["split"].to_pylist().count("validation")
        raise DataError(
            f"too few images to judge a model by: of {len(dataset.images)} the validation split "
            f"has {images}, and needs at least two with scores or a labelled pair{dropped}: give "
            "more images of more sources (20 at the least), or more labels; where a split column "
            "names train and test only, leave it empty for the images that may become validation"
        )
