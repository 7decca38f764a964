import pytest
import torch

from rankloop.errors import ConfigError
from rankloop.models.shallow import ShallowNetwork


def outputs(network, images):
    """Shape without n after each of Table 5's layers: the pool where there is one."""
    shapes = []

    def note(module, inputs, output):
        shapes.append((type(module).__name__, tuple(output.shape[1:])))

    for module in network.children():
        module.register_forward_hook(note)
    features = network(images)
    return shapes, features


def test_every_intermediate_shape_is_that_of_table_5():
    shapes, features = outputs(ShallowNetwork(227), torch.zeros(1, 3, 227, 227))
    assert shapes == [
        ("Conv2d", (32, 225, 225)),
        ("MaxPool2d", (32, 57, 57)),
        ("Conv2d", (32, 55, 55)),
        ("MaxPool2d", (32, 14, 14)),
        ("Conv2d", (32, 12, 12)),
        ("Conv2d", (32, 1, 1)),
    ]
    assert features.shape == (1, 32)


def test_kernels_are_those_of_table_5():
    network = ShallowNetwork(227)
    convolutions = [network.conv1, network.conv2, network.conv3, network.conv4]
    assert [c.kernel_size for c in convolutions] == [(3, 3), (3, 3), (3, 3), (12, 12)]
    assert sum(p.numel() for p in network.parameters()) == (
        (27 * 32 + 32) + 2 * (288 * 32 + 32) + (32 * 144 * 32 + 32)
    )


@pytest.mark.parametrize("size", [*range(43, 70), 96, 224])
def test_any_input_size_from_the_minimum_on_leaves_one_position(size):
    shapes, features = outputs(ShallowNetwork(size), torch.zeros(1, 3, size, size))
    assert shapes[-1] == ("Conv2d", (32, 1, 1))
    assert features.shape == (1, 32)


def test_a_smaller_input_size_is_refused():
    with pytest.raises(ConfigError, match="input_size 42 is below 43"):
        ShallowNetwork(42)


def test_computes_the_layers_in_order_with_relus_but_after_conv4():
    torch.manual_seed(0)
    network = ShallowNetwork(50).double()
    images = torch.randn(2, 3, 50, 50, dtype=torch.float64)
    x = images
    for i in (1, 2, 3, 4):
        convolution = getattr(network, f"conv{i}")
        x = torch.nn.functional.conv2d(x, convolution.weight, convolution.bias)
        if i < 4:
            x = x.clamp(min=0)
        if i < 3:
            x = pooled_rounding_up(x)
    features = network(images)
    torch.testing.assert_close(features, x[:, :, 0, 0])
    assert (features < 0).any()


def pooled_rounding_up(x):
    """Maxima of 4 x 4 windows, those at the right and lower border holding what is left."""
    rows = [x[:, :, i : i + 4].amax(2) for i in range(0, x.shape[2], 4)]
    x = torch.stack(rows, 2)
    return torch.stack([x[..., i : i + 4].amax(3) for i in range(0, x.shape[3], 4)], 3)
