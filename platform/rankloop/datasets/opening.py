"""``open_dataset``: data sources by name, merged, split and labelled."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from rankloop.datasets import annotator
from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, SPLITS, Dataset, Labels, Split
from rankloop.datasets.merging import with_sources
from rankloop.datasets.pairs_from_scores import draw_pairs
from rankloop.datasets.part import ImageRow
from rankloop.datasets.readers import read_sources, shown_sources
from rankloop.datasets.splits import (
    SHARES,
    SplitName,
    assign_splits,
    check_labelled,
    check_no_leak,
    within_splits,
)
from rankloop.errors import ConfigError
from rankloop.randomness import rng

# Pairs drawn from known scores in validation, and in test.
EVALUATION_PAIRS = 100


def open_dataset(
    specs: Sequence[str],
    *,
    seed: int,
    crops_per_photo: int = 40,
    source_pattern: str | None = None,
    labels: int = 100,
    label_error_rate: float = 0.05,
    strict: bool = False,
    split: SplitName = "70-15-15",
    learns_from: Labels = "pairs",
) -> Dataset:
    r"""Open one or several data sources as one dataset.

    Images without a label are the unlabelled pool of the training split. When nothing is labelled
    at all (``samples``, ``folder:``), the synthetic annotator labels.

    Args:
        specs: data sources, ``READER:PATH``, as `read_sources` takes them.
        seed: decides crops, splits, hidden blur, pairs and label errors.
        crops_per_photo: crops that ``samples`` cuts from each photograph; 0 for it as it is.
        source_pattern: regular expression whose first group found in an image's name is its source,
            for readers that do not know it: ``(.+)_\d{4}\.jpg`` keeps an LFW person in one split.
        labels: training pairs drawn where the order comes from scores or from the synthetic
            annotator (fewer if there are fewer). Pairs that people labelled are all used.
        label_error_rate: probability in [0, 0.5) that the synthetic annotator errs on a training
            pair. Validation and test pairs, and all scores, follow the true hidden strength.
        strict: refuse sources that list images which are not there, rather than skip them.
        split: shares of train, validation and test where a data source gives no split itself.
        learns_from: what the training split must hold.

    Raises:
        ConfigError: an unknown reader or option, a value out of range, or a useless pattern.
        DataError: a missing, empty, malformed or contradictory data source, too few sources to
            split, or no label left in train or validation.
    """
    _check(labels, label_error_rate)
    merged = read_sources(specs, seed=seed, crops_per_photo=crops_per_photo, strict=strict)
    images, unmatched = with_sources(merged.images, source_pattern)
    labelled = merged.labelled
    synthetic = not labelled
    blurs: dict[str, float] = {}
    if synthetic:
        blurs = {row.image: annotator.hidden_blur(row.image, seed=seed) for row in images}
        labelled = frozenset(blurs)
    split_of = assign_splits(images, labelled, merged.pairs, seed=seed, shares=SHARES[split])
    pairs, across = within_splits(merged.pairs, split_of)
    counts = dict(merged.counts)
    if unmatched:
        counts["images_without_source_pattern"] = unmatched
    if across:
        counts["pairs_across_splits"] = across
    scores = blurs or {row.image: row.score for row in images if row.score is not None}
    higher_is_better = False if synthetic else merged.higher_is_better
    drawn = _drawn_pairs(scores, split_of, bool(higher_is_better), labels, seed)
    if synthetic and learns_from == "pairs":
        drawn, counts["labels_flipped"] = _with_errors(drawn, label_error_rate, seed)
    dataset = Dataset(
        name=shown_sources(specs),
        images=_image_table(images, split_of, scores, blurs),
        pairs=_pair_table(pairs + drawn),
        higher_is_better=higher_is_better,
        score_name=annotator.SCORE_NAME if synthetic else merged.score_name,
        annotator=(
            annotator.annotator_name(label_error_rate) if synthetic else merged.annotator or "human"
        ),
        counts=counts,
        skipped=merged.skipped,
    )
    check_no_leak(dataset)
    check_labelled(dataset, learns_from)
    return dataset


def _check(labels: int, label_error_rate: float) -> None:
    if labels < 1:
        raise ConfigError(f"labels = {labels} is below 1: give at least 1")
    if not 0.0 <= label_error_rate < 0.5:
        raise ConfigError(
            f"label_error_rate = {label_error_rate} is outside [0, 0.5): at 0.5 labels say nothing"
        )


def _drawn_pairs(
    scores: Mapping[str, float],
    split_of: Mapping[str, Split],
    higher_is_better: bool,
    labels: int,
    seed: int,
) -> list[tuple[str, str, Split]]:
    drawn: list[tuple[str, str, Split]] = []
    for split in SPLITS:
        # Sorted, so that the draw does not depend on the order in which files were listed.
        names = sorted(image for image in scores if split_of[image] == split)
        pairs = draw_pairs(
            names,
            [scores[image] for image in names],
            labels if split == "train" else EVALUATION_PAIRS,
            higher_is_better=higher_is_better,
            random=rng(seed, "pairs from scores", split),
        )
        drawn += [(better, worse, split) for better, worse in pairs]
    return drawn


def _with_errors(
    pairs: Sequence[tuple[str, str, Split]], error_rate: float, seed: int
) -> tuple[list[tuple[str, str, Split]], int]:
    given: list[tuple[str, str, Split]] = []
    for better, worse, split in pairs:
        # Validation and test measure against the true order.
        rate = error_rate if split == "train" else 0.0
        given.append((*annotator.label(better, worse, error_rate=rate, seed=seed), split))
    return given, sum(pair != true for pair, true in zip(given, pairs, strict=True))


def _image_table(
    images: Sequence[ImageRow],
    split_of: Mapping[str, Split],
    scores: Mapping[str, float],
    blurs: Mapping[str, float],
) -> pa.Table:
    columns = {
        "image": [row.image for row in images],
        "uri": [row.uri for row in images],
        "crop": [row.crop for row in images],
        "source": [row.source for row in images],
        "split": [split_of[row.image] for row in images],
        "hidden_blur": [blurs.get(row.image) for row in images],
        "score": [scores.get(row.image) for row in images],
    }
    for name in ("spread", "distortion", "level", "points", "region", "longest_side"):
        columns[name] = [getattr(row, name) for row in images]
    return pa.table(columns, schema=IMAGE_SCHEMA)


def _pair_table(pairs: Sequence[tuple[str, str, Split]]) -> pa.Table:
    better, worse, split = zip(*pairs, strict=True) if pairs else ((), (), ())
    return pa.table({"better": better, "worse": worse, "split": split}, schema=PAIR_SCHEMA)
