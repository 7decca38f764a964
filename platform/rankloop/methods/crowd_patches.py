"""Labelled patches of crowd photographs, of many sizes, with their density maps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from rankloop.datasets.crowds import CrowdPhotograph, load_crowd
from rankloop.datasets.dataset import Dataset
from rankloop.datasets.density_maps import cell_density, region_shares
from rankloop.images import crop, resize
from rankloop.methods.counting_config import CountingConfig
from rankloop.models.density import STRIDE
from rankloop.ranking.draws import OnSkip
from rankloop.ranking.labelled_images import labelled_example


@dataclass(frozen=True)
class CrowdPatch:
    """A square of a photograph, resized.

    Attributes:
        image: uint8 (s, s, 3).
        density: float32 (s / 16, s / 16), people per cell; its sum is what the square holds of
            the region of interest, whatever size it had.
        inside: share of each cell that is in the region of interest, float32, likewise.
    """

    image: np.ndarray
    density: np.ndarray
    inside: np.ndarray


def crowd_loader(dataset: Dataset) -> Callable[[int], CrowdPhotograph]:
    """Return a function from row number to photograph with heads; see `load_crowd`."""
    columns = ["uri", "crop", "longest_side", "points", "region"]
    return partial(_loaded, dataset.images.select(columns))


def _loaded(images: pa.Table, row: int) -> CrowdPhotograph:
    return load_crowd(images.slice(row, 1).to_pylist()[0])


def crowd_patch(
    load: Callable[[int], CrowdPhotograph],
    rows: np.ndarray,
    config: CountingConfig,
    *,
    seed: int,
    index: int,
    on_skip: OnSkip | None = None,
) -> tuple[CrowdPatch, int]:
    """Return a patch of a labelled photograph (TPAMI paper, section 5.3) and which one it is of.

    Of each photograph one per epoch (6.2). Sides are drawn uniformly from those of the range that
    the photograph's shorter side can hold; where it can hold none, it is the side.

    Args:
        load: row number to the photograph; one for which it raises ImageError is reported and
            replaced.
        rows: int (n,), numbers of the labelled photographs.
        config: sizes.
        seed: the run's seed.
        index: number of the row in the whole stream, >= 0.
        on_skip: called with (row, reason).

    Raises:
        DataError: no labelled photographs, or 20 (or all) in a row cannot be used.
    """

    def make(row: int, generator: np.random.Generator) -> CrowdPatch:
        crowd = load(row)
        return cut_patch(crowd, _drawn_box(crowd, generator, config), config)

    return labelled_example(make, rows, "crowd patch", seed=seed, index=index, on_skip=on_skip)


def _drawn_box(
    crowd: CrowdPhotograph, generator: np.random.Generator, config: CountingConfig
) -> tuple[int, int, int]:
    height, width, _ = crowd.image.shape
    short = min(height, width)
    side = min(config.input_size, short)
    if config.multi_scale:
        least, most = (min(limit, short) for limit in (config.least_patch, config.most_patch))
        side = int(generator.integers(least, most + 1))
    x, y = (int(generator.integers(length - side + 1)) for length in (width, height))
    return x, y, side


def cut_patch(
    crowd: CrowdPhotograph, box: tuple[int, int, int], config: CountingConfig
) -> CrowdPatch:
    """Cut the square with x, y and side in pixels out of a photograph and resize it."""
    x, y, side = box
    height, width, _ = crowd.image.shape
    cells = config.input_size // STRIDE
    square, grid = (x, y, side, side), (cells, cells)
    density = cell_density(crowd.points, square, grid, height, width, config.sigma, crowd.region)
    inside = np.ones(grid, np.float32)
    if crowd.region is not None:
        inside = region_shares(crowd.region, square, grid)
    image = resize(crop(crowd.image, x, y, side, side), config.input_size)
    return CrowdPatch(image, density, inside)
