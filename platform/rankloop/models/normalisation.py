"""Pixels as a network's weights expect them."""

import torch
from torch import nn

# Of 0..255, three channels each. Torchvision divides by 255 before.
IMAGENET_MEAN = (255 * 0.485, 255 * 0.456, 255 * 0.406)
IMAGENET_STD = (255 * 0.229, 255 * 0.224, 255 * 0.225)


def check_batch(images: torch.Tensor) -> None:
    """Raise ValueError unless images are uint8 (n, 3, h, w)."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images are {images.dtype} of shape {tuple(images.shape)}: give uint8 (n, 3, h, w)"
        )


class Normalisation(nn.Module):
    """Maps images uint8 (n, 3, h, w) to normalised float (n, 3, h, w), where the module is."""

    def __init__(
        self,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        """Make it; it has no weights, and nothing of it is saved.

        Args:
            mean: of each channel, of 0..255.
            std: standard deviation of each channel.
        """
        super().__init__()
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise.

        Raises:
            ValueError: another dtype or shape.
        """
        check_batch(images)
        images = images.to(self.mean.device)
        # Streams hold permuted (n, h, w, 3) images; kernels, and so the last digits of the scores,
        # would depend on the caller's strides without one fixed layout.
        return (images.contiguous().to(self.mean.dtype) - self.mean) / self.std
