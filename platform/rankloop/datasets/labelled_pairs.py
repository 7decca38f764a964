"""``pairs:PATH``: which of two images is better, one line per vote."""

from collections.abc import Mapping

from rankloop.datasets.columns import Row, read_columns
from rankloop.datasets.locations import absolute, parent
from rankloop.datasets.part import PAIRS_WITH_MISSING_IMAGE, TIES, ImageRow, Part
from rankloop.datasets.present import only_present, pairs_of
from rankloop.datasets.votes import Vote, majority
from rankloop.errors import DataError

PAIRS_OPTIONS = frozenset({"images"})

_FIRST = ("a", "left", "1")
_SECOND = ("b", "right", "2")
_NEITHER = ("tie", "equal", "0")


def read_labelled_pairs(path: str, options: Mapping[str, str]) -> Part:
    """Return the images of a CSV file of votes and one label per pair, by majority.

    Columns: ``image_a`` and ``image_b`` (the first two columns when these names are absent);
    ``better``: the name of the better image, or ``a``/``left``/``1`` for the first,
    ``b``/``right``/``2`` for the second, ``tie``/``equal``/``0`` for neither; if there,
    ``annotator``: who voted (see `majority`). A name of an image goes before these words. Images
    that do not exist, or lie outside their folder, are skipped and listed, their pairs dropped and
    counted.

    Args:
        path: local path or URI of the CSV file.
        options: ``images=FOLDER``: where the images are (the CSV's own folder).

    Raises:
        DataError: a column is missing, a cell cannot be read, or no image exists.
    """
    table = read_columns(absolute(path))
    columns = table.names
    if "image_a" in columns or "image_b" in columns:
        sides = [
            table.require(side, "name both images' columns") for side in ("image_a", "image_b")
        ]
    else:
        sides = list(columns[:2])
    table.require("better", "add a header line image_a,image_b,better that names the columns")
    if "better" in sides:
        raise DataError(
            f"{table.location}: column 'better' is among the first two, which name the images; "
            "put the columns in the order image_a,image_b,better"
        )
    votes = [_vote(row, *sides) for row in table.rows]
    labels, ties = majority(votes)
    folder = absolute(options.get("images", parent(table.location)))
    names = dict.fromkeys(name for vote in votes for name in (vote.image_a, vote.image_b))
    images, skipped = only_present([ImageRow(name, name) for name in names], table.location, folder)
    pairs = pairs_of(labels, images)
    counts = {TIES: ties, PAIRS_WITH_MISSING_IMAGE: len(labels) - len(pairs)}
    return Part(images, pairs, counts={k: n for k, n in counts.items() if n}, skipped=skipped)


def _vote(row: Row, first: str, second: str) -> Vote:
    image_a, image_b, answer = row.cells[first], row.cells[second], row.cells["better"]
    if not image_a or not image_b or image_a == image_b:
        raise DataError(
            f"{row.where}: a pair needs two different images, got {image_a!r} and {image_b!r}; "
            "correct this line"
        )
    return Vote(image_a, image_b, _better(row, answer, image_a, image_b), _annotator(row))


def _annotator(row: Row) -> str | None:
    return row.cells.get("annotator") or None


def _better(row: Row, answer: str, image_a: str, image_b: str) -> str | None:
    if answer in (image_a, image_b):
        return answer
    word = answer.lower()
    if word in _FIRST:
        return image_a
    if word in _SECOND:
        return image_b
    if word in _NEITHER:
        return None
    raise DataError(
        f"{row.where}: better = {answer!r} is neither {image_a!r} nor {image_b!r}, nor one of "
        f"{', '.join((*_FIRST, *_SECOND, *_NEITHER))}; correct this line"
    )
