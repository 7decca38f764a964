"""``csv:PATH``: images with a score each, e.g. mean opinion scores."""

import math
from collections.abc import Mapping

from rankloop.datasets.columns import Columns, Row, read_columns
from rankloop.datasets.dataset import SPLITS, Split
from rankloop.datasets.locations import absolute, parent
from rankloop.datasets.part import ImageRow, Part
from rankloop.datasets.present import only_present
from rankloop.errors import DataError
from rankloop.shown import quoted

CSV_OPTIONS = frozenset({"image", "score", "higher_is_better", "images", "source", "split"})


def read_scored_images(path: str, options: Mapping[str, str]) -> Part:
    """Return the images of a CSV file and their scores.

    Columns: ``image`` and ``score``; if there, ``source`` (images of one source share a split) and
    ``split`` (train, validation, test, or empty: rankloop divides). An empty score means an image
    without label. Images that do not exist, or lie outside their folder, are skipped and listed.

    Args:
        path: local path or URI of the CSV file.
        options: ``higher_is_better=true`` or ``false`` (required: MOS true, DMOS and blur rank
            false); ``image``, ``score``, ``source``, ``split``: columns of other names;
            ``images=FOLDER``: where the images are (the CSV's own folder).

    Raises:
        DataError: the direction is missing, a column is missing, a cell cannot be read, an image is
            listed twice, or no image exists.
    """
    higher_is_better = _direction(path, options)
    table = read_columns(absolute(path))
    named = {
        name: table.require(options.get(name, name), f"add ?{name}=COLUMN to csv:{path}")
        for name in ("image", "score", *(set(options) & {"source", "split"}))
    }
    columns = named | {name: name for name in {"source", "split"} - set(named)}
    folder = absolute(options.get("images", parent(table.location)))
    rows = [_image(row, columns) for row in table.rows]
    _refuse_repeated(table, rows)
    if all(row.score is None for row in rows):
        raise DataError(f"{table.location} has no score in column {columns['score']!r}")
    images, skipped = only_present(rows, table.location, folder)
    unscored = sum(row.score is None for row in images)
    return Part(
        images,
        higher_is_better=higher_is_better,
        score_name=columns["score"],
        counts={"images_without_score": unscored} if unscored else {},
        skipped=skipped,
    )


def _direction(path: str, options: Mapping[str, str]) -> bool:
    text = options.get("higher_is_better", "")
    if text.lower() not in ("true", "false"):
        given = f"higher_is_better={text!r} is neither true nor false" if text else "nothing says"
        raise DataError(
            f"csv:{path}: {given} whether a higher score is a better image: add "
            "?higher_is_better=true (e.g. MOS) or ?higher_is_better=false (e.g. DMOS, blur rank), "
            "joined to other options by &"
        )
    return text.lower() == "true"


def _image(row: Row, columns: Mapping[str, str]) -> ImageRow:
    name = row.cells[columns["image"]]
    if not name:
        raise DataError(f"{row.where}: no image name; correct this line")
    return ImageRow(
        name,
        name,
        source=row.cells.get(columns["source"]) or None,
        split=_split(row, row.cells.get(columns["split"], "")),
        score=_score(row, row.cells[columns["score"]]),
    )


def _score(row: Row, text: str) -> float | None:
    if not text:
        return None
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise DataError(
            f"{row.where}: score {quoted(text)} is not a finite number; correct it, or leave it "
            "empty for an image without label"
        )
    return score


def _split(row: Row, text: str) -> Split | None:
    for split in SPLITS:
        if text == split:
            return split
    if text:
        raise DataError(
            f"{row.where}: split {quoted(text)} is none of {', '.join(SPLITS)}; correct it, or "
            "leave it empty to have the image assigned"
        )
    return None


def _refuse_repeated(table: Columns, rows: list[ImageRow]) -> None:
    first: dict[str, str] = {}
    for row, line in zip(rows, table.rows, strict=True):
        if row.image in first:
            raise DataError(
                f"{line.where}: image {row.image!r} is listed before, in {first[row.image]}; "
                "keep one line per image (average several opinions first)"
            )
        first[row.image] = line.where
