import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from rankloop.errors import ConfigError
from rankloop.models.torchvision_backbone import TorchvisionBackbone

ResNet18 = partial(TorchvisionBackbone, "resnet18")


@pytest.fixture(scope="module")
def published():
    """A whole torchvision ResNet-18 with its classifier, as its weights are published."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return torchvision.models.resnet18(weights=None).eval()


@pytest.fixture
def weights_file(published, tmp_path):
    def write(tensors=None):
        path = tmp_path / "weights.safetensors"
        save_file(published.state_dict() if tensors is None else tensors, path)
        return str(path)

    return write


def test_features_are_torchvisions_before_the_classifier(published, weights_file):
    network = ResNet18(weights_file(), input_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = network(images)
        assert features.shape == (2, network.features) == (2, 512)
        torch.testing.assert_close(published.fc(features), published(images))


def test_a_file_of_a_trunk_without_classifier_or_batch_counts_loads(published, weights_file):
    # The published ImageNet file has no num_batches_tracked either.
    tensors = {
        key: tensor
        for key, tensor in published.state_dict().items()
        if not key.startswith("fc.") and not key.endswith("num_batches_tracked")
    }
    trunk = ResNet18(weights_file(tensors)).trunk.state_dict()
    assert all(torch.equal(trunk[key], tensor) for key, tensor in tensors.items())


def test_a_file_of_its_own_trunk_loads(weights_file):
    trunk = ResNet18().trunk.state_dict()
    again = ResNet18(weights_file(trunk)).trunk.state_dict()
    assert trunk.keys() == again.keys()
    assert all(torch.equal(again[key], tensor) for key, tensor in trunk.items())


def test_missing_and_unexpected_tensors_are_named(published, weights_file):
    tensors = dict(published.state_dict())
    tensors["layer5.weight"] = tensors.pop("conv1.weight")
    with pytest.raises(ConfigError, match=r"missing conv1\.weight, unexpected layer5\.weight"):
        ResNet18(weights_file(tensors))


def test_many_missing_tensors_are_counted(weights_file):
    with pytest.raises(ConfigError, match=r"and \d+ more, unexpected none"):
        ResNet18(weights_file({"bn1.bias": torch.zeros(64)}))


def test_a_tensor_of_another_shape_is_named(published, weights_file):
    tensors = {**published.state_dict(), "bn1.bias": torch.zeros(65)}
    with pytest.raises(ConfigError, match=r"bn1\.bias.*65.*64"):
        ResNet18(weights_file(tensors))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        ResNet18(str(tmp_path / "nowhere.safetensors"))


def test_a_file_cut_in_half_is_refused(weights_file, tmp_path):
    data = Path(weights_file()).read_bytes()
    half = tmp_path / "half.safetensors"
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(ConfigError, match="cannot be read"):
        ResNet18(str(half))


@pytest.mark.parametrize("weights", ["imagnet", "photo.png", ""])
def test_unknown_weights_are_refused(weights):
    with pytest.raises(ConfigError, match="give 'none', 'imagenet' or the path"):
        ResNet18(weights)


def test_a_pickle_is_refused_and_the_named_command_converts_it(published, tmp_path):
    path = tmp_path / "resnet18.pth"
    torch.save(published.state_dict(), path)
    with pytest.raises(ConfigError, match="can run code") as refused:
        ResNet18(str(path))
    command = str(refused.value).partition('python -c "')[2].rstrip('"')
    assert "weights_only=True" in command
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)
    converted = tmp_path / "resnet18.safetensors"
    assert load_file(converted).keys() == published.state_dict().keys()
    ResNet18(str(converted))


def test_imagenet_weights_come_from_torchvision_checked_and_without_pickled_code(
    published, monkeypatch
):
    asked = []

    def download(url, **options):
        asked.append((url, options))
        return published.state_dict()

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", download)
    trunk = ResNet18("imagenet").trunk
    assert torch.equal(trunk.conv1.weight, published.conv1.weight)
    ((url, options),) = asked
    assert url == torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    assert options["weights_only"] is True
    assert options["check_hash"] is True


def test_a_failed_download_says_what_to_do(monkeypatch):
    def download(url, **options):
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", download)
    with pytest.raises(ConfigError, match=r"no route to host.*\.safetensors file.*'none'"):
        ResNet18("imagenet")


def test_an_input_below_the_stride_is_refused():
    with pytest.raises(ConfigError, match="input_size 31 is below 32"):
        ResNet18(input_size=31)


@pytest.mark.parametrize(
    ("name", "features", "last"),
    [
        ("resnet50", 2048, "fc."),
        pytest.param("vgg16", 4096, "classifier.6.", marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_other_networks_without_their_last_layer(name, features, last, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        whole = getattr(torchvision.models, name)(weights=None).eval()
    path = tmp_path / "weights.safetensors"
    save_file(whole.state_dict(), path)
    network = TorchvisionBackbone(name, str(path), input_size=64).eval()
    images = torch.randn(1, 3, 64, 64)
    found = network(images)
    assert found.shape == (1, network.features) == (1, features)
    torch.testing.assert_close(whole.get_submodule(last.rstrip("."))(found), whole(images))
    with pytest.raises(ConfigError, match=f"do not fit {name}: missing"):
        TorchvisionBackbone(name, _without(path, last, tmp_path))


def _without(path, last, tmp_path):
    tensors = load_file(path)
    tensors.pop(next(k for k in tensors if k.endswith(".weight") and not k.startswith(last)))
    save_file(tensors, tmp_path / "cut.safetensors")
    return str(tmp_path / "cut.safetensors")


def test_dense_layers_of_vgg16_are_fc6_and_fc7():
    layers = TorchvisionBackbone("vgg16").dense_layers
    assert [(layer.in_features, layer.out_features) for layer in layers] == [
        (25088, 4096),
        (4096, 4096),
    ]
    assert TorchvisionBackbone("resnet18").dense_layers == []
