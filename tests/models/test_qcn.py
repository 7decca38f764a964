"""The quality comparison network: images of any shape, and scores that depend on nothing else."""

import pytest
import torch
from safetensors.torch import save_file

from rankloop.models.image_encoder import ImageEncoder
from rankloop.models.qcn import QCNNetwork, build_qcn
from rankloop.models.torchvision_backbone import TorchvisionBackbone

OPTIONS = {
    "weights": "none",
    "channels": 16,
    "pivots": 7,
    "images": 5,
    "transformers": 2,
    "layout": "paper",
    "feed_forward": "residual",
    "heads": 2,
    "feature_self_update": True,
    "pivot_self_update": True,
    "drop_path": 0.1,
    "frozen_statistics": True,
    "flip": "scores",
    "seed": 0,
}


def _built(**options: object) -> QCNNetwork:
    model = build_qcn("resnet18", **{**OPTIONS, **options})
    model.pivot_scores.copy_(torch.tensor([5.0, 10, 30, 40, 60, 80, 95]))
    model.auxiliary.copy_(torch.randn(4, 16, generator=torch.Generator().manual_seed(1)))
    return model.eval()


def _images(count: int, height: int = 40, width: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("layout", ["paper", "code"])
@pytest.mark.parametrize("flip", ["scores", "features", "none"])
@torch.inference_mode()
def test_the_score_of_an_image_does_not_depend_on_its_company(layout, flip):
    model = _built(layout=layout, flip=flip)
    images = _images(9)
    scores = model.scores(images)
    assert scores.shape == (9,)
    assert scores.std() > 0
    alone = torch.cat([model.scores(image[None]) for image in images])
    torch.testing.assert_close(alone, scores, rtol=0, atol=1e-5)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.scores(images[order]), scores[order], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_mirror_images_are_averaged_over_scores_or_over_features():
    images = _images(3)
    one, other = (_built(flip="none").scores(i) for i in (images, images.flip(3)))
    assert not torch.allclose(one, other)
    torch.testing.assert_close(_built(flip="scores").scores(images), (one + other) / 2)
    model = _built(flip="features")
    features = (model.encoder(images) + model.encoder(images.flip(3))) / 2
    torch.testing.assert_close(model.scores(images), model.feature_scores(features))
    assert not torch.allclose(model.scores(images), (one + other) / 2)


@torch.inference_mode()
def test_a_score_is_that_of_the_image_arranged_with_the_auxiliary_images():
    model = _built(flip="none")
    (image,) = _images(1)
    features = model.encoder(image[None])
    tokens, pivots = torch.cat([model.auxiliary, features])[None], model.pivots[None]
    for transformer in model.transformers:
        tokens, pivots = transformer(tokens, pivots)
    distances = torch.cdist(tokens[:, -1:], pivots)[0, 0]
    m = int((distances[:-1] + distances[1:]).argmin())
    low, high = pivots[0, m], pivots[0, m + 1]
    alpha = (tokens[0, -1] - low) @ (high - low) / ((high - low) @ (high - low))
    first, second = model.pivot_scores[m : m + 2]
    expected = first + alpha.double() * (second - first)
    torch.testing.assert_close(model.scores(image[None])[0], expected, rtol=1e-4, atol=1e-3)


def test_images_of_any_shape_are_encoded_as_each_alone():
    encoder = _built().encoder
    shapes = [(40, 48), (48, 40), (40, 48), (33, 70), (48, 40)]
    images = [_images(1, *shape)[0] + i for i, shape in enumerate(shapes)]
    together = encoder(images)
    alone = torch.cat([encoder([image]) for image in images])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_batch_normalisation_that_learns_sees_the_middles_of_all_images():
    encoder = _built(frozen_statistics=False).encoder.train()
    images = [_images(1, *shape)[0] for shape in ((40, 48), (48, 40), (40, 40), (43, 70))]
    middles = [
        images[0][:, :, 4:44], images[1][:, 4:44], images[2], images[3][:, 1:41, 15:55]
    ]  # fmt: skip
    features = encoder(images)
    statistics = encoder.backbone.trunk.bn1.running_mean.clone()
    encoder.backbone.trunk.bn1.reset_running_stats()
    torch.testing.assert_close(features, encoder(torch.stack(middles)))
    torch.testing.assert_close(statistics, encoder.backbone.trunk.bn1.running_mean)


def test_the_projection_of_the_mean_is_the_mean_of_projections():
    encoder = _built().encoder
    images = _images(2)
    trunk = encoder.backbone.trunk
    maps = {}
    trunk.layer4.register_forward_hook(lambda module, given, out: maps.update(last=out))
    found = encoder(images)
    kernel = encoder.projection.weight[:, :, None, None]
    convolved = torch.nn.functional.conv2d(maps["last"], kernel, encoder.projection.bias)
    torch.testing.assert_close(found, convolved.mean(dim=(2, 3)))


@pytest.mark.parametrize("layout", ["paper", "code"])
def test_every_parameter_is_learned(layout):
    model = _built(layout=layout).train()
    groups = torch.tensor([[0, 1, 2], [2, 3, 0]])
    embedding, pivots = model(list(_images(4)), groups)
    assert embedding.shape == (2, 3, 16)
    assert pivots.shape == (2, 7, 16)
    (embedding.square().sum() + pivots.square().sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_frozen_statistics_stay_also_in_training():
    images = _images(4)
    for frozen in (True, False):
        torch.manual_seed(0)
        encoder = ImageEncoder(TorchvisionBackbone("resnet18"), 8, frozen_statistics=frozen)
        encoder.train()
        before = encoder.backbone.trunk.bn1.running_mean.clone()
        encoder(images)
        assert torch.equal(encoder.backbone.trunk.bn1.running_mean, before) == frozen
        assert encoder.projection.training


def test_the_same_seed_gives_the_same_network_and_leaves_torch_alone():
    state = torch.random.get_rng_state()
    one, same, other = (build_qcn("resnet18", **{**OPTIONS, "seed": s}) for s in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.pivots, same.pivots)
    assert torch.equal(one.encoder.projection.weight, same.encoder.projection.weight)
    assert not torch.equal(one.pivots, other.pivots)


def test_what_a_scorer_needs_is_saved_with_it():
    model, other = _built(), build_qcn("resnet18", **{**OPTIONS, "seed": 9}).eval()
    other.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(other.scores(_images(2)), model.scores(_images(2)))


def test_weights_are_read_from_a_file(tmp_path):
    torch.manual_seed(5)
    network = TorchvisionBackbone("resnet18")
    tensors = {name: t.clone() for name, t in network.trunk.state_dict().items()}
    save_file({**tensors, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "w.safetensors")
    model = build_qcn("resnet18", **{**OPTIONS, "weights": str(tmp_path / "w.safetensors")})
    for name, tensor in model.encoder.backbone.trunk.state_dict().items():
        assert torch.equal(tensor, tensors[name]), name
