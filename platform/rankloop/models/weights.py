"""Weights of networks from files."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rankloop.errors import ConfigError


def located_weights(weights: str) -> str:
    """Return initial weights as every process finds them: "none", "imagenet" or an absolute path.

    Raises:
        ConfigError: the file is missing or of another format.
    """
    if weights in ("none", "imagenet"):
        return weights
    _check_file(weights)
    return str(Path(weights).absolute())


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """Read the tensors of a .safetensors file.

    Raises:
        ConfigError: it is missing, damaged, or of another format.
    """
    _check_file(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"weights file {path!r} cannot be read ({error}): it is damaged or not in the "
            "safetensors format; make it again, or give 'none'"
        ) from error


def _check_file(path: str) -> None:
    if Path(path).suffix in {".pth", ".pt", ".bin", ".ckpt"}:
        converted = str(Path(path).with_suffix(".safetensors"))
        raise ConfigError(
            f"weights {path!r} may be a pickle, which can run code when it is opened; convert it "
            'once and give the result: python -c "import torch; from safetensors.torch import '
            f'save_file; save_file(torch.load({path!r}, weights_only=True), {converted!r})"'
        )
    if Path(path).suffix != ".safetensors":
        raise ConfigError(
            f"weights {path!r} is unknown: give 'none', 'imagenet' or the path of a .safetensors "
            "file"
        )
    if not Path(path).is_file():
        where = "" if Path(path).is_absolute() else f" in {Path.cwd()}"
        raise ConfigError(
            f"weights file {path!r} does not exist{where}: check the path, or give 'none'"
        )


def load_weights(
    network: nn.Module, tensors: dict[str, torch.Tensor], last: str, kind: str, name: str
) -> None:
    """Put tensors into a network without its last layer.

    Args:
        network: takes the tensors.
        tensors: by name.
        last: name of the last layer, whose tensors are ignored.
        kind: what the network is, for messages.
        name: where the tensors are from, for messages.

    Raises:
        ConfigError: they are not those of this network.
    """
    tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(f"{last}.")}
    own = network.state_dict()
    for key, tensor in tensors.items():
        if key in own and own[key].shape != tensor.shape:
            raise ConfigError(
                f"weights {name!r} do not fit {kind}: {key} has the shape {tuple(tensor.shape)} "
                f"and should have {tuple(own[key].shape)}; give the tensors of that network, or "
                "the network that they are of"
            )
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    if missing or unexpected:
        raise ConfigError(
            f"weights {name!r} do not fit {kind}: missing {_shortened(missing)}, unexpected "
            f"{_shortened(unexpected)}; give the tensors of that network, by their usual names, "
            "or the network that they are of"
        )


def _shortened(keys: list[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return (", ".join(keys[:limit]) or "none") + more
