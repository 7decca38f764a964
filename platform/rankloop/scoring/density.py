"""Density maps of images that are counted, as files beside the table of scores."""

import os
import posixpath
from collections.abc import Sequence

import numpy as np

from rankloop.errors import ConfigError
from rankloop.images import encode
from rankloop.models.density import STRIDE
from rankloop.npy import to_bytes
from rankloop.scoring.pipeline import Score
from rankloop.scoring.scorer import ImageScorer
from rankloop.storage import Folder


def map_files(names: Sequence[str]) -> list[str]:
    """Return where in a folder maps go, without ending: images' paths below what all share.

    Args:
        names: paths or URIs of the images, or what they are called.

    Raises:
        ConfigError: two images would share one.
    """
    # Without "..": no map may leave the folder.
    paths = [
        posixpath.normpath(f"/{name.partition('://')[2]}")
        if "://" in name
        else os.path.abspath(name)
        for name in names
    ]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    files: dict[str, str] = {}
    for name, path in zip(names, paths, strict=True):
        file = os.path.relpath(path, shared)
        if file in files:
            raise ConfigError(
                f"the density maps of {files[file]} and {name} would both be {file}.npy: score "
                "them in two calls"
            )
        files[file] = name
    return list(files)


def score_by_density(
    scorer: ImageScorer, decoded: Sequence[np.ndarray | str], folder: Folder, files: Sequence[str]
) -> list[Score]:
    """Score images by the sums of their density maps, and write these.

    ``FILE.npy`` holds people per cell, float32 (h', w'), ``FILE.png`` a picture of the size of the
    image, from nobody (dark) to the most people per cell of this image (bright).

    Args:
        scorer: of a method that makes density maps.
        decoded: what `decode` gave of each image.
        folder: for all maps.
        files: where in it they go, without ending.

    Raises:
        StorageError: a map cannot be written.
    """
    scores: list[Score] = []
    for views, file in zip(decoded, files, strict=True):
        if isinstance(views, str):
            scores.append((None, views))
            continue
        density = scorer.density(views[0])
        if not np.isfinite(density).all():
            scores.append((None, "the density map is not finite"))
            continue
        _write(folder, file, density, views.shape[1:3])
        scores.append((float(density.sum(dtype=np.float64)), ""))
    return scores


def _write(folder: Folder, file: str, density: np.ndarray, shape: tuple[int, ...]) -> None:
    # Matplotlib takes a second to import.
    import matplotlib

    from rankloop.plots.density_maps import COLORMAP

    shares = np.clip(density, 0.0, None) / max(float(density.max()), 1e-12)
    colors = matplotlib.colormaps[COLORMAP](shares, bytes=True)[..., :3]
    # Cells at the border may reach beyond it.
    picture = colors.repeat(STRIDE, 0).repeat(STRIDE, 1)[: shape[0], : shape[1]]
    within, name = os.path.split(file)
    place = folder / within if within else folder
    place.write_bytes(f"{name}.npy", to_bytes(density))
    place.write_bytes(f"{name}.png", encode(np.ascontiguousarray(picture)))
