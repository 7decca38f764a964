"""ResNet-18 without its classifier (SSRanking, section 4.1; He et al., CVPR 2016)."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rankloop.errors import ConfigError

MINIMUM_INPUT_SIZE = 32


class ResNet18(nn.Module):
    """Torchvision's ResNet-18 up to its average pool: images (n, 3, s, s) to features (n, 512).

    Attributes:
        features: length of the feature vector, 512.
    """

    features: int = 512

    def __init__(self, weights: str = "none", input_size: int = 224) -> None:
        """Make the network and load its weights.

        Args:
            weights: "none" (torchvision's random initialisation), "imagenet" (IMAGENET1K_V1,
                downloaded by torchvision and kept in its cache), or the path of a .safetensors file
                with torchvision's tensor names; ``fc.*`` in it is ignored.
            input_size: side s of the input in pixels, at least 32 (the network's stride). Nothing
                in the network depends on it.

        Raises:
            ConfigError: input_size is below 32, the download failed, or the file is missing, not a
                .safetensors file, or does not hold the tensors of ResNet-18.
        """
        super().__init__()
        if input_size < MINIMUM_INPUT_SIZE:
            raise ConfigError(
                f"input_size {input_size} is below {MINIMUM_INPUT_SIZE}, the stride of resnet18: "
                "give a larger input_size"
            )
        # Seconds to import, which every process of a cluster would wait for.
        from torchvision.models import resnet18

        self.trunk = resnet18(weights=None)
        self.trunk.fc = nn.Identity()
        if weights != "none":
            _load(self.trunk, _imagenet() if weights == "imagenet" else _read(weights), weights)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images, float (n, 3, s, s), to features, float (n, 512)."""
        features: torch.Tensor = self.trunk(images)
        return features


def _imagenet() -> dict[str, torch.Tensor]:
    from torchvision.models import ResNet18_Weights

    source = ResNet18_Weights.IMAGENET1K_V1
    try:
        tensors: dict[str, torch.Tensor] = source.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    # Connections, HTTP, the hash check and a damaged cache fail in unrelated ways; one remedy.
    except Exception as error:
        raise ConfigError(
            f"weights 'imagenet' could not be downloaded from {source.url} ({error}): give the "
            "path of a .safetensors file with them, or 'none'"
        ) from error
    return tensors


def _read(path: str) -> dict[str, torch.Tensor]:
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
        raise ConfigError(f"weights file {path!r} does not exist: check the path, or give 'none'")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"weights file {path!r} cannot be read ({error}): it is damaged or not in the "
            "safetensors format; make it again, or give 'none'"
        ) from error


def _load(trunk: nn.Module, tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("fc.")}
    try:
        missing, unexpected = trunk.load_state_dict(tensors, strict=False)
    except RuntimeError as error:  # A tensor has another shape; torch names it and both shapes.
        raise ConfigError(f"weights {name!r} do not fit resnet18: {error}") from error
    if missing or unexpected:
        raise ConfigError(
            f"weights {name!r} do not fit resnet18: missing {_shortened(missing)}, unexpected "
            f"{_shortened(unexpected)}; give torchvision's tensor names"
        )


def _shortened(keys: list[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return (", ".join(keys[:limit]) or "none") + more
