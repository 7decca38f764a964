"""Several data sources made into one."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rankloop.datasets.part import TIES, ImageRow, Part
from rankloop.datasets.votes import Vote, majority
from rankloop.errors import ConfigError, DataError
from rankloop.images import shown_uri

# Images that are called by their folder, too, since another has their name.
RENAMED = "images_renamed"

# What an image has one of, whichever data source says it.
_CONTRADICTABLE = (
    "score",
    "split",
    "spread",
    "distortion",
    "level",
    "points",
    "region",
    "longest_side",
)


def merge(parts: Sequence[Part]) -> Part:
    """Return all images and labels of several parts.

    The same photograph (and crop) in two parts is one image, under its first name, with the labels
    of both: ``pairs:photos/labels.csv`` and ``folder:photos`` go together. Where two photographs
    have one name, as in two parts of a data set, that of the later part gets its folder before it.

    Raises:
        DataError: one name for two images, two different scores or splits for one image, or
            scores of two scales or directions.
    """
    images: dict[str, ImageRow] = {}
    name_of: dict[tuple[str, tuple[int, int, int, int] | None], str] = {}
    votes: list[Vote] = []
    renamed = 0
    for part in parts:
        names = {}
        for row in part.images:
            place = row.uri, row.crop
            if place not in name_of:
                name_of[place] = _unused_name(row, images)
                renamed += name_of[place] != row.image
            name = names[row.image] = name_of[place]
            known = images.get(name)
            images[name] = _combined(known, row) if known else replace(row, image=name)
        votes += [Vote(names[a], names[b], better=names[a]) for a, b in part.pairs]
    pairs, contradictions = majority(votes)
    counts = Counter[str]({TIES: contradictions} if contradictions else {})
    if renamed:
        counts[RENAMED] = renamed
    for part in parts:
        counts.update(part.counts)
    higher_is_better, score_name = _scale(parts)
    skipped = tuple(item for part in parts for item in part.skipped)
    return Part(
        list(images.values()),
        pairs,
        higher_is_better,
        score_name,
        dict(counts),
        skipped,
        next((part.annotator for part in parts if part.annotator), None),
    )


def _unused_name(row: ImageRow, images: Mapping[str, ImageRow]) -> str:
    name, folder = row.image, row.uri.removesuffix(f"/{row.image}")
    while name in images:
        folder, _, last = folder.rpartition("/")
        if not last or not row.uri.endswith(f"/{last}/{name}"):
            raise DataError(
                f"two images are named {row.image!r}, {shown_uri(images[row.image].uri)} and "
                f"{shown_uri(row.uri)}: "
                "rename one, or name a folder above both"
            )
        name = f"{last}/{name}"
    return name


def _combined(known: ImageRow, other: ImageRow) -> ImageRow:
    for what in _CONTRADICTABLE:
        first, second = getattr(known, what), getattr(other, what)
        if first is not None and second is not None and first != second:
            raise DataError(
                f"image {known.image!r} has two {what}s, {first} and {second}, in two data "
                "sources: keep one"
            )
    missing = [name for name in ("source", *_CONTRADICTABLE) if getattr(known, name) is None]
    return replace(known, **{name: getattr(other, name) for name in missing})


def _scale(parts: Iterable[Part]) -> tuple[bool | None, str | None]:
    scales = {
        (part.higher_is_better, part.score_name)
        for part in parts
        if part.higher_is_better is not None
    }
    if len(scales) > 1:
        listed = " and ".join(
            f"{name!r} (higher is {'better' if higher else 'worse'})"
            for higher, name in sorted(scales, key=str)
        )
        raise DataError(
            f"the data sources score on different scales, {listed}: scores can only be compared "
            "on one; give one of the data sources, or bring them to one scale and column name"
        )
    return scales.pop() if scales else (None, None)


def with_sources(images: Sequence[ImageRow], pattern: str | None) -> tuple[list[ImageRow], int]:
    r"""Return the images, each with a source, and how many the pattern was not found in.

    Args:
        images: those without a source get the first group of the pattern that is found in their
            name, else their own name. All images of one photograph get the source of its first.
        pattern: regular expression with a group, e.g. ``(.+)_\d{4}\.jpg`` for LFW's persons, or
            with one per naming: ``(.+)_\d{4}\.jpg|(.+)-frame``.

    Raises:
        ConfigError: the pattern is malformed, has no group, or is found in no name.
    """
    compiled = None if pattern is None else _compile(pattern)
    of_photograph: dict[str, str] = {}
    tried = found = 0
    rows = []
    for row in images:
        match = compiled.search(row.image) if compiled and row.source is None else None
        tried += row.source is None
        found += match is not None
        groups = match.groups() if match else ()
        source = next((group for group in groups if group), row.source or row.image)
        rows.append(replace(row, source=of_photograph.setdefault(row.uri, source)))
    if compiled and not found:
        example = next((row.image for row in images if row.source is None), None)
        seen = f"the first is {example!r}" if example else "their readers give sources themselves"
        raise ConfigError(
            f"the source pattern {pattern!r} is found in none of {len(images)} image names "
            f"({seen}): correct it or leave it out"
        )
    return rows, tried - found if compiled else 0


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"the source pattern {pattern!r} is not a regular expression: {error}"
        ) from error
    if compiled.groups < 1:
        raise ConfigError(
            f"the source pattern {pattern!r} has no group: put parentheses around the part of the "
            r"name that is the source, e.g. (.+)_\d{4}\.jpg"
        )
    return compiled
