"""Listed images that are not there: set aside and named, fatal only when all are."""

from collections.abc import Iterable, Sequence

from rankloop.datasets.locations import exist
from rankloop.datasets.part import ImageRow
from rankloop.errors import DataError

REASON = "does not exist"


def only_present(
    rows: Sequence[ImageRow], listed_in: str
) -> tuple[list[ImageRow], tuple[tuple[str, str], ...]]:
    """Return the images that exist, and (image, reason) of the others.

    Raises:
        DataError: none exists.
    """
    there = exist([row.uri for row in rows])
    images = [row for row, found in zip(rows, there, strict=True) if found]
    if not images:
        raise DataError(
            f"none of the {len(rows)} images listed in {listed_in} exists, the first would be "
            f"{rows[0].uri}: add ?images=FOLDER with the folder that the names are relative to"
        )
    missing = [row for row, found in zip(rows, there, strict=True) if not found]
    return images, tuple((row.image, f"{row.uri} {REASON}") for row in missing)


def pairs_of(pairs: Iterable[tuple[str, str]], images: Iterable[ImageRow]) -> list[tuple[str, str]]:
    """Return the pairs both of whose images are among the given ones."""
    names = {row.image for row in images}
    return [pair for pair in pairs if names.issuperset(pair)]
