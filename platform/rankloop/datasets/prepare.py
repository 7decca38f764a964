"""From rows of a dataset to pixels."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankloop.datasets.crowds import region_mask
from rankloop.datasets.dataset import Dataset, Labels
from rankloop.datasets.density_maps import inside_image
from rankloop.datasets.splits import check_labelled
from rankloop.decoding import decode, with_a_core
from rankloop.distortions.blur import blur
from rankloop.errors import DataError, ImageError
from rankloop.images import crop, fit, load, load_whole, read_bytes, shrink

PAIRS_WITH_UNREADABLE_IMAGE = "pairs_with_unreadable_image"
POINTS_OUTSIDE_IMAGE = "points_outside_image"

# Photographs handed to each thread at a time: few enough that progress moves, many enough that
# threads seldom wait for each other.
_PHOTOGRAPHS_PER_THREAD = 16


def load_image(row: Mapping[str, Any], size: int | None) -> np.ndarray:
    """Read one image of a dataset, blurred by the synthetic annotator where it hid a blur.

    Args:
        row: ``uri``, ``crop``, ``longest_side`` and ``hidden_blur`` as in IMAGE_SCHEMA; other keys
            are ignored.
        size: side in pixels; None for the image at its own scale.

    Returns:
        uint8 (size, size, 3), RGB: the crop, or the central square of the photograph, resized; or
        uint8 (h, w, 3): the crop or the photograph as it is.

    Raises:
        ImageError: the image cannot be read, or the crop leaves the photograph.
    """
    if size is None:
        photograph = _recent.photograph(row["uri"], row["longest_side"])
        return _blurred(photograph if row["crop"] is None else crop(photograph, *row["crop"]), row)
    return _blurred(load(row["uri"], row["crop"], size, row["longest_side"]), row)


def _photograph(uri: str, longest_side: int | None) -> np.ndarray:
    photograph = load_whole(uri, None, longest_side)
    photograph.setflags(write=False)
    return photograph


class _Recent(threading.local):
    """What a thread has read last: crops of one photograph are often asked for in a row."""

    def __init__(self) -> None:
        self.photograph = lru_cache(maxsize=2)(_photograph)


_recent = _Recent()


def prepare(
    dataset: Dataset,
    size: int | None,
    *,
    max_bytes: int,
    threads: int,
    least_side: int = 1,
    labels: Labels = "pairs",
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Dataset, np.ndarray | None]:
    """Read every image once, drop those that cannot be read, and keep the pixels if they fit.

    A photograph with several crops is decoded once. Besides the returned array, at most one
    photograph per core is held in memory, and the file of one per thread.

    Args:
        dataset: its unreadable images go to ``skipped`` with the reason, and their pairs are
            dropped and counted.
        size: side in pixels of the images; None for images at their own scale.
        max_bytes: most bytes that the array may take.
        threads: threads that read; as many of them decode at once as there are cores.
        least_side: images of which a side has fewer pixels cannot be used.
        labels: what is learned from.
        on_progress: called with (images done, images in all) from the calling thread.

    Returns:
        dataset: without what could not be read; points beyond an image's borders are counted.
        pixels: uint8 (n, size, size, 3), row i being image i as `load_image` gives it; None when
            n * size * size * 3 bytes of the images given exceed ``max_bytes``, or without a size.

    Raises:
        DataError: no image can be read, or too few to learn from.
    """
    rows = dataset.images.select(
        ["image", "uri", "crop", "longest_side", "hidden_blur"]
    ).to_pylist()
    points = dataset.images["points"].combine_chunks()
    regions = dataset.images["region"].combine_chunks()
    pixels: np.ndarray | None = None
    if size is not None and len(rows) * size * size * 3 <= max_bytes:
        pixels = np.empty((len(rows), size, size, 3), np.uint8)
    reasons: dict[int, str] = {}
    outside: list[int] = []

    def read(members: Sequence[int]) -> int:
        more = [
            (i, {**rows[i], "points": points[i].as_py(), "region": regions[i].as_py()})
            for i in members
        ]
        for index, image in _read_photograph(more, size, least_side, outside):
            if isinstance(image, ImageError):
                reasons[index] = str(image)
            elif pixels is not None:
                pixels[index] = image
        return len(members)

    photographs = _by_photograph(rows)
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        step = threads * _PHOTOGRAPHS_PER_THREAD
        for start in range(0, len(photographs), step):
            for number in pool.map(read, photographs[start : start + step]):
                done += number
                if on_progress is not None:
                    on_progress(done, len(rows))
    if outside:
        counts = {**dataset.counts, POINTS_OUTSIDE_IMAGE: sum(outside)}
        dataset = replace(dataset, counts=counts)
    if not reasons:
        return dataset, pixels
    kept = [i for i in range(len(rows)) if i not in reasons]
    if not kept:
        raise DataError(
            f"none of {len(rows)} images can be read; the first, {rows[0]['image']}: {reasons[0]}"
        )
    skipped = [(rows[i]["image"], reasons[i]) for i in sorted(reasons)]
    cleaned = _without_unreadable(dataset, kept, skipped)
    check_labelled(cleaned, labels)
    return cleaned, None if pixels is None else _compacted(pixels, kept)


def _by_photograph(rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row["uri"], []).append(i)
    return list(groups.values())


def _read_photograph(
    members: Sequence[tuple[int, Mapping[str, Any]]],
    size: int | None,
    least_side: int,
    outside: list[int],
) -> Iterator[tuple[int, np.ndarray | ImageError]]:
    try:
        data = read_bytes(members[0][1]["uri"])
        # Until it is forgotten: more threads read than could hold photographs.
        with with_a_core():
            yield from _images_of(decode(data), members, size, least_side, outside)
    except ImageError as error:
        yield from ((index, error) for index, _ in members)


def _images_of(
    photograph: np.ndarray,
    members: Sequence[tuple[int, Mapping[str, Any]]],
    size: int | None,
    least_side: int,
    outside: list[int],
) -> Iterator[tuple[int, np.ndarray | ImageError]]:
    for index, row in members:
        if row["points"]:
            here = inside_image(np.array(row["points"]), *photograph.shape[:2])
            if not here.all():
                outside.append(len(here) - int(here.sum()))
        try:
            if row["region"] is not None:
                region_mask(row["region"], photograph)
            image = shrink(photograph, row["longest_side"])
            image = image if row["crop"] is None else crop(image, *row["crop"])
            height, width, _ = image.shape
            if min(height, width) < least_side:
                raise ImageError(
                    f"its {width} x {height} pixels hold no square of {least_side}: use larger "
                    "images, or a smaller input_size"
                )
            # At their own scale images are only looked at here, and blurred when they are loaded.
            yield index, image if size is None else _blurred(fit(image, None, size), row)
        except ImageError as error:
            yield index, error


def _blurred(image: np.ndarray, row: Mapping[str, Any]) -> np.ndarray:
    strength = row["hidden_blur"]
    return image if strength is None else blur(image, "gaussian", strength)


def _without_unreadable(
    dataset: Dataset, kept: Sequence[int], skipped: Sequence[tuple[str, str]]
) -> Dataset:
    table = dataset.images.take(kept)
    names = table["image"].combine_chunks()
    both = pc.and_(*(pc.is_in(dataset.pairs[side], names) for side in ("better", "worse")))
    pairs: pa.Table = dataset.pairs.filter(both)
    dropped = len(dataset.pairs) - len(pairs)
    counts = dict(dataset.counts) | ({PAIRS_WITH_UNREADABLE_IMAGE: dropped} if dropped else {})
    return replace(
        dataset,
        images=table,
        pairs=pairs,
        counts=counts,
        skipped=(*dataset.skipped, *skipped),
    )


def _compacted(pixels: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    # In place: a copy of what remains would need the memory twice.
    for target, origin in enumerate(kept):
        pixels[target] = pixels[origin]
    return pixels[: len(kept)]
