"""The distance of density maps, against loops."""

import pytest
import torch

from rankloop.losses.density_map import density_map_loss


def _random(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_sum_over_cells_of_the_mean_image(masked):
    density, truth = _random(3, 4, 5, seed=0), _random(3, 4, 5, seed=1)
    inside = _random(3, 4, 5, seed=2) if masked else None
    total = 0.0
    for image in range(3):
        for row in range(4):
            for column in range(5):
                share = 1.0 if inside is None else float(inside[image, row, column])
                found = share * float(density[image, row, column])
                total += (found - float(truth[image, row, column])) ** 2
    assert density_map_loss(density, truth, inside).item() == pytest.approx(total / 3)


def test_maps_of_other_shapes_are_refused():
    maps = _random(3, 4, 5, seed=0)
    for density, truth, inside in (
        (maps, maps[:, :3], None),
        (maps[0], maps[0], None),
        (maps[:0], maps[:0], None),
        (maps, maps, maps[:1]),
    ):
        with pytest.raises(ValueError, match="density maps have shapes"):
            density_map_loss(density, truth, inside)
