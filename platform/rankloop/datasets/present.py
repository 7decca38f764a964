"""Listed images that are not there, or not theirs to name: set aside, fatal only when all are."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rankloop.datasets.locations import exist, inside
from rankloop.datasets.part import ImageRow
from rankloop.errors import DataError
from rankloop.redaction import without_passwords

REASON = "does not exist"


def only_present(
    rows: Sequence[ImageRow], listed_in: str, folder: str
) -> tuple[list[ImageRow], tuple[tuple[str, str], ...]]:
    """Return the images that exist inside a folder, and (image, reason) of the others.

    Args:
        rows: what a list names; ``uri`` is a name relative to the folder, or below it, so far.
        listed_in: the list, for errors.
        folder: that all images must be in, whoever wrote the list.

    Raises:
        DataError: none exists.
    """
    places = [inside(folder, row.uri) for row in rows]
    images, missing = [], []
    for row, place, there in zip(rows, places, exist(places), strict=True):
        if place is not None and there:
            images.append(replace(row, uri=place))
        elif place is None:
            missing.append((row.image, f"{row.uri!r} names no file inside {folder}"))
        else:
            missing.append((row.image, f"{place} {REASON}"))
    skipped = tuple((without_passwords(name), without_passwords(why)) for name, why in missing)
    if not images:
        raise DataError(
            f"none of the {len(rows)} images listed in {listed_in} can be used, the first since "
            f"{skipped[0][1]}: add ?images=FOLDER with the folder that the names are relative to, "
            "or that all absolute ones are in"
        )
    return images, skipped


def pairs_of(pairs: Iterable[tuple[str, str]], images: Iterable[ImageRow]) -> list[tuple[str, str]]:
    """Return the pairs both of whose images are among the given ones."""
    names = {row.image for row in images}
    return [pair for pair in pairs if names.issuperset(pair)]
