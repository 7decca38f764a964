"""The crowd density network: one cell per 16 pixels, tile by tile as in one piece."""

import numpy as np
import pytest
import torch

from rankloop.models.density import DensityNetwork, build_density_network, cell_shares

BACKBONES = ["vgg16", "vgg16_pool4", "resnet18", "efficientnet_lite0"]


def _built(backbone: str, tile_side: int = 4096, **options: object) -> DensityNetwork:
    given = {"weights": "none", "frozen_statistics": True, "seed": 0, **options}
    return build_density_network(backbone, tile_side=tile_side, **given).eval()


def _images(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.inference_mode()
def test_a_map_has_one_cell_per_16_pixels(backbone):
    model = _built(backbone)
    for height, width in ((64, 96), (65, 47)):
        maps = model(_images(2, 3, height, width))
        assert maps.shape == (2, -(-height // 16), -(-width // 16))
        assert maps.std() > 0
    scores = model.scores(_images(2, 3, 65, 47))
    torch.testing.assert_close(scores, model(_images(2, 3, 65, 47)).sum(dim=(1, 2)))


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.inference_mode()
def test_tiles_give_the_map_of_the_whole(backbone):
    images = _images(2, 3, 500, 620)
    whole = _built(backbone).maps(images)
    tiled = _built(backbone, tile_side=192).maps(images)
    assert tiled.shape == whole.shape == (2, 32, 39)
    spread = float(whole.std())
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-3 * spread)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_no_cell_depends_on_pixels_beyond_the_reach(backbone):
    model = _built(backbone).double()
    side = 2 * model.reach + 9 * 16
    middle = side // 32
    pixels = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    model.density(model.trunk(pixels))[0, 0, middle, middle].backward()
    assert pixels.grad is not None
    used = pixels.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    before = 16 * middle - int(used.min())
    after = int(used.max()) + 1 - 16 * (middle + 1)
    # And hardly less: what tiles see in vain costs time.
    assert model.reach - 48 < max(before, after) <= model.reach


@torch.inference_mode()
def test_cells_outside_the_region_of_interest_do_not_count():
    model = _built("resnet18")
    images = _images(1, 4, 70, 100)
    images[:, 3] = 0
    images[:, 3, 10:40, 20:99] = 255
    maps = model(images[:, :3])[0]
    mask, expected = images[0, 3].numpy(), 0.0
    for row in range(5):
        for column in range(7):
            cell = mask[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            expected += float(maps[row, column]) * np.count_nonzero(cell) / cell.size
    assert model.scores(images).item() == pytest.approx(expected, rel=1e-4)
    assert cell_shares(images[:, 3]).shape == (1, 5, 7)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_parameter_is_learned(backbone):
    model = _built(backbone, frozen_statistics=False).train()
    model(_images(2, 3, 64, 64)).square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # Batch normalisation takes away what a bias before it adds; there is none.
    assert idle == []


def test_the_same_seed_gives_the_same_network_and_leaves_torch_alone():
    state = torch.random.get_rng_state()
    one, same, other = (_built("resnet18", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.density.weight, same.density.weight)
    assert not torch.equal(one.density.weight, other.density.weight)
    before = one.trunk[1].running_mean.clone()
    one.train()(_images(2, 3, 64, 64))
    assert torch.equal(one.trunk[1].running_mean, before)


@torch.inference_mode()
def test_a_region_of_the_whole_image_changes_nothing():
    model = _built("resnet18")
    images = _images(1, 4, 70, 101)
    images[:, 3] = 255
    torch.testing.assert_close(model.scores(images), model.scores(images[:, :3]))


@torch.inference_mode()
def test_no_forward_pass_sees_more_than_a_tile_and_its_surroundings():
    model = _built("resnet18", tile_side=160)
    seen = []
    model.trunk.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    model.maps(_images(3, 3, 400, 500))
    model.maps(_images(9, 3, 80, 80))
    most = (160 + 2 * model.reach) ** 2
    assert max(n * height * width for n, _, height, width in seen) <= most
    assert {n for n, _, height, _ in seen if height > 160} == {1}
    assert [shape[0] for shape in seen if shape[2] == 80] == [4, 4, 1]
