from copy import deepcopy
from functools import cache

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from rankloop.errors import ConfigError
from rankloop.models.scorer import Scorer, build_scorer
from rankloop.models.torchvision_backbone import TorchvisionBackbone

BACKBONES = pytest.mark.parametrize("backbone", ["resnet18", "shallow"])
SIZE = 48


def photos(n, height=SIZE, width=SIZE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)


@cache
def trained(backbone):
    """A scorer in evaluation mode whose scores differ and whose running statistics have moved."""
    scorer = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=0)
    optimizer = torch.optim.SGD(scorer.parameters(), lr=0.05)
    images = photos(8, seed=9)
    images[4:] //= 4
    with torch.enable_grad():
        for _ in range(3):
            scores = scorer(images)
            optimizer.zero_grad()
            (scores[4:].mean() - scores[:4].mean()).backward()
            optimizer.step()
    return scorer.eval()


@BACKBONES
def test_scores_are_one_number_in_0_1_for_each_image(backbone):
    scorer = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=0).eval()
    scores = scorer(photos(3))
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32
    assert ((scores > 0) & (scores < 1)).all()
    assert Scorer.higher_is_better is True


@BACKBONES
def test_no_images_give_no_scores(backbone):
    scorer = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=0).eval()
    assert scorer(photos(0)).shape == (0,)


@BACKBONES
@torch.no_grad()
def test_a_score_does_not_depend_on_company_or_order(backbone):
    scorer = trained(backbone)
    images = photos(7)
    images[::2] //= 3
    together = scorer(images)
    assert together.max() - together.min() > 1e-3
    alone = torch.cat([scorer(image[None]) for image in images])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    torch.testing.assert_close(scorer(images.flip(0)).flip(0), together, atol=1e-5, rtol=0)
    assert torch.equal(scorer(images), together)


@BACKBONES
@torch.no_grad()
def test_a_score_does_not_depend_on_memory_layout(backbone):
    scorer = trained(backbone)
    images = photos(3)
    strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(strided, images)
    assert torch.equal(scorer(strided), scorer(images))


@BACKBONES
@pytest.mark.parametrize(("height", "width"), [(64, 64), (49, 70), (51, 48)])
@torch.no_grad()
def test_larger_images_are_cropped_at_their_centre(backbone, height, width):
    scorer = trained(backbone)
    images = photos(2, height, width)
    # Of an odd border the smaller half is above and to the left; torchvision rounds half to even.
    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    crop = images[:, :, top : top + SIZE, left : left + SIZE]
    assert torch.equal(scorer(images), scorer(crop))
    if (height - SIZE) % 2 == (width - SIZE) % 2 == 0:
        assert torch.equal(crop, torchvision.transforms.functional.center_crop(images, [SIZE] * 2))
    border = images.clone()
    border[:, :, top : top + SIZE, left : left + SIZE] = 0
    assert not torch.equal(scorer(border), scorer(images))


def test_pixels_are_normalised_as_torchvisions_weights_expect():
    seen = []

    class Recorder(torch.nn.Module):
        def forward(self, x):
            seen.append(x)
            return x.mean((2, 3))

    images = photos(2)
    Scorer(Recorder(), torch.nn.Linear(3, 1), torch.nn.Sigmoid(), SIZE)(images)
    expected = torchvision.transforms.functional.normalize(
        images / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-5)


def test_the_sigmoid_is_applied_to_the_head():
    scorer = build_scorer("shallow", output="sigmoid", input_size=SIZE, seed=0).eval()
    torch.nn.init.zeros_(scorer.head.weight)
    torch.nn.init.constant_(scorer.head.bias, 2.0)
    expected = torch.sigmoid(torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(scorer(photos(2)), expected)


@BACKBONES
def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone(backbone):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    again = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=3).state_dict()
    other = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=4).state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in first.items())
    weights = [key for key in first if key.startswith("head") and key.endswith("weight")]
    assert weights
    assert not any(torch.equal(first[key], other[key]) for key in weights)


def test_given_weights_change_the_trunk_and_not_the_dense_layers(tmp_path):
    path = tmp_path / "trunk.safetensors"
    given = TorchvisionBackbone("resnet18").trunk.state_dict()
    save_file(given, path)
    random = build_scorer("resnet18", output="sigmoid", input_size=SIZE, seed=0)
    loaded = build_scorer("resnet18", output="sigmoid", weights=str(path), input_size=SIZE, seed=0)
    assert torch.equal(loaded.backbone.trunk.conv1.weight, given["conv1.weight"])
    assert not torch.equal(random.backbone.trunk.conv1.weight, given["conv1.weight"])
    for key, tensor in random.head.state_dict().items():
        assert torch.equal(loaded.head.state_dict()[key], tensor)


@BACKBONES
def test_the_state_dict_holds_weights_only_and_loads_into_a_new_scorer(backbone, tmp_path):
    scorer = trained(backbone)
    state = scorer.state_dict()
    assert not {"mean", "std"} & state.keys()
    save_file(state, tmp_path / "model.safetensors")  # Refuses tensors that are not contiguous.
    again = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=1).eval()
    again.load_state_dict(state)
    with torch.no_grad():
        assert torch.equal(again(photos(2)), scorer(photos(2)))


@BACKBONES
def test_every_parameter_gets_a_gradient(backbone):
    scorer = build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=0)
    scorer(photos(4)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in scorer.parameters())


@pytest.mark.parametrize(("height", "width"), [(SIZE - 1, 64), (64, SIZE - 1)])
def test_smaller_images_are_refused(height, width):
    scorer = build_scorer("shallow", output="sigmoid", input_size=SIZE, seed=0)
    with pytest.raises(ValueError, match=f"smaller than input_size {SIZE}: resize"):
        scorer(photos(1, height, width))


@pytest.mark.parametrize(
    "images",
    [photos(1).float(), photos(1)[0], photos(1).permute(0, 2, 3, 1), photos(1)[:, :1]],
    ids=["float", "no batch", "channels last", "grey"],
)
def test_other_dtypes_and_shapes_are_refused(images):
    scorer = build_scorer("shallow", output="sigmoid", input_size=SIZE, seed=0)
    with pytest.raises(ValueError, match=r"give uint8 \(n, 3, h, w\)"):
        scorer(images)


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match=r"'vgg' is unknown: give one of resnet18, .* shallow"):
        build_scorer("vgg", output="sigmoid", seed=0)
    with pytest.raises(ConfigError, match="not for the shallow network"):
        build_scorer("shallow", output="sigmoid", weights="imagenet", seed=0)
    with pytest.raises(ConfigError, match="input_size 16 is below 43"):
        build_scorer("shallow", output="sigmoid", input_size=16, seed=0)
    with pytest.raises(ConfigError, match="input_size 16 is below 32"):
        build_scorer("resnet18", output="sigmoid", input_size=16, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@BACKBONES
def test_a_scorer_on_a_gpu_takes_images_from_the_cpu_and_gives_the_same_scores(backbone):
    state = torch.cuda.get_rng_state()
    build_scorer(backbone, output="sigmoid", input_size=SIZE, seed=0)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    scorer = deepcopy(trained(backbone))
    with torch.no_grad():
        expected = scorer(photos(3))
        scores = scorer.cuda()(photos(3))
    torch.testing.assert_close(scores.cpu(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("backbone", ["resnet50", "vgg16"])
@torch.no_grad()
def test_large_backbones_end_in_one_linear_layer(backbone):
    scorer = build_scorer(backbone, output="scale", input_size=SIZE, seed=0).eval()
    images = photos(2)
    features = scorer.features(images)
    assert features.shape == (2, {"resnet50": 2048, "vgg16": 4096}[backbone])
    scorer.output.set(torch.tensor([1.0, 5.0]))
    expected = 3 + 2 * (features @ scorer.head.weight[0] + scorer.head.bias)
    torch.testing.assert_close(scorer(images), expected)
    assert {"output.mean", "output.deviation"} <= scorer.state_dict().keys()
