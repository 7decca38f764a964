"""Patches of crowds that counting learns from."""

import numpy as np
import pytest
from scipy.special import ndtr

from rankloop.datasets.crowds import CrowdPhotograph
from rankloop.errors import ImageError
from rankloop.methods.counting import counted_rows
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.crowd_patches import crowd_loader, crowd_patch, cut_patch


@pytest.mark.parametrize("size", [32, 64])
def test_a_patch_keeps_its_count_whatever_its_size(make_counting, size):
    image = np.zeros((90, 120, 3), np.uint8)
    points = np.array([[20.0, 30.0], [70.0, 60.0], [100.0, 10.0]])
    crowd = CrowdPhotograph(image, points, None, 0)
    config = make_counting(input_size=size, sigma=3.0)
    # One head is inside, far from the border, the others are outside.
    patch = cut_patch(crowd, (2, 12, 40), config)
    assert patch.density.sum() == pytest.approx(1.0, abs=1e-4)
    assert patch.density.shape == patch.inside.shape == (size // 16, size // 16)
    assert patch.image.shape == (size, size, 3)
    assert (patch.inside == 1).all()
    # Of a head at the border, half a pixel further in, what is beyond it is in no patch.
    part = cut_patch(crowd, (70, 40, 40), config)
    assert part.density.sum() == pytest.approx(float(ndtr(0.5 / 3.0)), abs=1e-4)


def test_outside_the_region_of_interest_nobody_is_to_be_found(make_counting):
    region = np.zeros((64, 64), bool)
    region[:, :24] = True
    points = np.array([[8.0, 32.0], [22.0, 10.0], [56.0, 32.0]])
    crowd = CrowdPhotograph(np.zeros((64, 64, 3), np.uint8), points, region, 0)
    patch = cut_patch(crowd, (0, 0, 64), make_counting(input_size=64, sigma=4.0))
    np.testing.assert_allclose(patch.inside, np.tile([1.0, 0.5, 0.0, 0.0], (4, 1)), atol=1e-6)
    # The second head is at the edge, and a whole person nevertheless.
    assert patch.density.sum() == pytest.approx(2.0, abs=1e-4)
    assert (patch.density[:, 2:] == 0).all()


def test_every_photograph_gives_one_patch_per_epoch(make_counting, discs):
    config, rows = make_counting(), counted_rows(discs)
    load = crowd_loader(discs.dataset)
    found = [crowd_patch(load, rows, config, seed=0, index=i)[1] for i in range(2 * len(rows))]
    assert sorted(found[: len(rows)]) == sorted(found[len(rows) :]) == rows.tolist()
    assert found[: len(rows)] != found[len(rows) :]


def test_patches_are_of_many_sizes_or_of_one(make_counting):
    """Grey rises by half a level per column: how fast it does in a patch tells the size."""
    image = np.zeros((400, 500, 3), np.uint8)
    ramp = np.arange(500, dtype=np.float64)[np.newaxis, :, np.newaxis] / 2
    image[:] = np.round(ramp)

    def sides(config: CountingConfig) -> set[int]:
        crowd = CrowdPhotograph(image, np.zeros((0, 2)), None, 0)
        found = set()
        for index in range(12):
            patch, _ = crowd_patch(lambda row: crowd, np.arange(3), config, seed=0, index=index)
            levels = patch.image[0, :, 0].astype(float)
            found.add(round(2 * float(np.diff(levels).mean()) * config.input_size))
        return found

    many = sides(make_counting(least_patch=100, most_patch=448, input_size=64))
    assert len(many) > 8
    assert min(many) >= 90
    assert max(many) <= 410
    (one,) = {round(side / 10) for side in sides(make_counting(multi_scale=False, input_size=64))}
    assert one == 6
    # What the photograph cannot hold is not drawn: its 400 rows are no more likely than others.
    most = sides(make_counting(least_patch=100, most_patch=4000, input_size=64))
    assert len(most) > 8
    assert sum(side > 390 for side in most) < 3
    # Smaller than the smallest patch, it is taken as a whole.
    (whole,) = {round(side / 10) for side in sides(make_counting(least_patch=500, most_patch=900))}
    assert whole == 40


def test_photographs_that_cannot_be_read_are_replaced_and_counted(make_counting, discs):
    rows = counted_rows(discs)
    load = crowd_loader(discs.dataset)
    broken = int(rows[3])

    def failing(row: int) -> CrowdPhotograph:
        if row == broken:
            raise ImageError("gone")
        return load(row)

    skipped: list[int] = []
    found = [
        crowd_patch(
            failing,
            rows,
            make_counting(),
            seed=0,
            index=i,
            on_skip=lambda row, why: skipped.append(row),
        )[1]
        for i in range(len(rows))
    ]
    assert skipped == [broken]
    assert broken not in found
