"""Head points and regions of interest as crowd data sets give them."""

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from rankloop.datasets.dataset import HEAD_COUNT
from rankloop.datasets.density_maps import inside_image
from rankloop.datasets.layouts.tree import Tree
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError
from rankloop.images import encode


def crowd_part(
    tree: Tree,
    names: Iterable[str],
    row_of: Callable[[str], ImageRow],
    expected: str,
    outside_region: Callable[[], int] | None = None,
) -> Part:
    """Return a part whose scores are numbers of people; images without usable points are skipped.

    Args:
        tree: the release's folder.
        names: of its photographs, also of those that points are there for and that are missing.
        row_of: name to its row with points; raises DataError where these are missing or malformed.
        expected: what the folder should hold, for the error.
        outside_region: number of points that rows have left out, asked for at the end.

    Raises:
        DataError: no photograph has points.
    """
    rows, skipped = [], []
    for name in names:
        try:
            rows.append(row_of(name))
        except DataError as error:
            skipped.append((name, str(error)))
    if not rows:
        why = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise DataError(f"{tree.folder} holds no {expected}{why}")
    left_out = outside_region() if outside_region else 0
    found = tree.present(rows, tree.folder)
    return Part(
        found.images,
        higher_is_better=True,
        score_name=HEAD_COUNT,
        counts={"points_outside_region": left_out} if left_out else {},
        skipped=(*skipped, *found.skipped),
    )


def tested_part(part: Part, asked: str, tested: str) -> Part:
    """Return a part of which a fold was asked for, with some of its test photographs.

    Args:
        part: of the release.
        asked: data source with its fold, for the error.
        tested: what the fold tests on, for the error.

    Raises:
        DataError: none of them is there: random photographs would be tested in their place.
    """
    if any(row.split == "test" for row in part.images):
        return part
    raise DataError(
        f"{asked} tests on {tested}, and none of these is there with its points: give the whole "
        "release, or a fold whose photographs are there"
    )


def annotated_too(tree: Tree, present: Iterable[str], annotated: Iterable[str]) -> list[str]:
    """Return the photographs that are there and those that points are there for, without repeats.

    Args:
        tree: the release's folder.
        present: names of the files that are there.
        annotated: names that photographs with points would have.
    """
    return [*present, *sorted(name for name in set(annotated) if tree.uri(name) is None)]


def points_file(tree: Tree, *names: str) -> str:
    """Return where the first of several possible files of points is.

    Raises:
        DataError: none is there.
    """
    found = tree.first(*names)
    if found is None:
        raise DataError(f"its points, {names[0]}, do not exist")
    return found


def head_points(matlab: np.ndarray) -> list[tuple[float, float]]:
    """Return points counted from (0, 0), the middle of the first pixel.

    Args:
        matlab: (n, 2), x and y as marked in MATLAB, which counts from 1; anything empty is nobody.

    Raises:
        DataError: not such an array of finite numbers.
    """
    if not matlab.size:
        return []
    is_points = np.issubdtype(matlab.dtype, np.number) and matlab.ndim == 2 and matlab.shape[1] == 2
    if not is_points or not np.isfinite(matlab).all():
        raise DataError(
            f"points of shape {matlab.shape} and type {matlab.dtype} are not finite (x, y) pairs"
        )
    return [(float(x) - 1.0, float(y) - 1.0) for x, y in matlab]


def polygon_mask(vertices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return which pixels lie in a polygon, bool (height, width).

    Args:
        vertices: (n, 2), x and y as marked in MATLAB.
        height: of the mask in pixels.
        width: of the mask in pixels.
    """
    mask = np.zeros((height, width), np.uint8)
    corners = np.rint(np.reshape(vertices, (-1, 2)) - 1.0).astype(np.int32)
    return cv2.fillPoly(mask, [corners], 1).astype(bool)


def encode_region(mask: np.ndarray) -> bytes:
    """Return a mask as IMAGE_SCHEMA holds it, from bool (h, w)."""
    gray = mask.astype(np.uint8) * np.uint8(255)
    return encode(np.repeat(gray[:, :, np.newaxis], 3, axis=2))


def inside_region(points: list[tuple[float, float]], mask: np.ndarray) -> list[tuple[float, float]]:
    """Return the points whose nearest pixel is in the mask, bool (h, w)."""
    places = np.array(points).reshape(-1, 2)
    here = inside_image(places, *mask.shape)
    columns, rows = np.rint(places[here]).astype(np.int64).T
    here[here] = mask[rows, columns]
    return [point for point, kept in zip(points, here, strict=True) if kept]
