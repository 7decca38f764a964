"""EfficientNet-Lite0: its shapes, its padding and its released weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rankloop.errors import ConfigError
from rankloop.models.efficientnet_lite import EfficientNetLite0, _Convolution
from rankloop.models.image_encoder import build_encoder


def _released(path: Path) -> EfficientNetLite0:
    """Write a file as the release names its tensors, and return the network it is of."""
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
    tensors = {
        ".".join(f"_{part}" if part[0].isalpha() and i in (0, 2) else part
                 for i, part in enumerate(name.split(".")))
        if name.startswith("blocks")
        else f"_{name}": tensor
        for name, tensor in network.state_dict().items()
    }  # fmt: skip
    save_file({**tensors, "_fc.weight": torch.zeros(1000, 1280)}, path)
    return network


def test_it_is_the_published_network():
    network = EfficientNetLite0()
    parameters = sum(p.numel() for p in network.parameters())
    # 4.65 million with the last layer's 1,281,000, as released.
    assert parameters + 1_281_000 == 4_652_008
    assert network(torch.zeros(2, 3, 64, 96)).shape == (2, 1280)


@torch.no_grad()
def test_released_weights_are_read_from_a_file(tmp_path):
    network = _released(tmp_path / "lite0.safetensors")
    found = EfficientNetLite0(str(tmp_path / "lite0.safetensors")).eval()
    images = torch.randn(2, 3, 45, 60, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found(images), network(images))
    encoder = build_encoder(
        "efficientnet_lite0", str(tmp_path / "lite0.safetensors"), 8, frozen_statistics=True
    )
    assert encoder(torch.zeros(1, 3, 40, 40, dtype=torch.uint8)).shape == (1, 8)


@torch.no_grad()
def test_pixels_are_normalised_as_in_the_release():
    encoder = build_encoder("efficientnet_lite0", "none", 8, frozen_statistics=True).eval()
    given = []
    encoder.backbone.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    images = torch.arange(3 * 32 * 32, dtype=torch.uint8).view(1, 3, 32, 32)
    encoder(images)
    np.testing.assert_allclose(given[0].numpy(), (images.numpy() - 127.0) / 128.0, atol=1e-6)


@pytest.mark.parametrize("side", [9, 10, 11])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (5, 1), (1, 1)])
@torch.no_grad()
def test_convolutions_are_padded_as_tensorflow_does(side, kernel, stride):
    layer = _Convolution(1, 1, kernel, stride=stride).double()
    image = np.random.default_rng(0).normal(size=(side, side))
    weight = layer.weight[0, 0].numpy()
    out = -(-side // stride)
    total = max((out - 1) * stride + kernel - side, 0)
    padded = np.pad(image, (total // 2, total - total // 2))
    expected = [
        [
            (padded[y * stride : y * stride + kernel, x * stride : x * stride + kernel] * weight)
            .sum()
            for x in range(out)
        ]
        for y in range(out)
    ]  # fmt: skip
    found = layer(torch.tensor(image)[None, None])[0, 0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_weights_that_are_not_there_or_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="take those of the package efficientnet-lite0"):
        EfficientNetLite0("imagenet")
    with pytest.raises(ConfigError, match="does not exist"):
        EfficientNetLite0(str(tmp_path / "nowhere.safetensors"))
    save_file({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "part.safetensors")
    with pytest.raises(ConfigError, match="do not fit efficientnet_lite0: missing"):
        EfficientNetLite0(str(tmp_path / "part.safetensors"))
