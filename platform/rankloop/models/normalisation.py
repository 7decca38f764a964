"""Pixels as torchvision's ImageNet weights expect them."""

import torch
from torch import nn

# Channel means and standard deviations of ImageNet in [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def check_batch(images: torch.Tensor) -> None:
    """Raise ValueError unless images are uint8 (n, 3, h, w)."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images are {images.dtype} of shape {tuple(images.shape)}: give uint8 (n, 3, h, w)"
        )


class ImageNetNormalisation(nn.Module):
    """Maps images uint8 (n, 3, h, w) to normalised float (n, 3, h, w), where the module is."""

    def __init__(self) -> None:
        """Make it; it has no weights, and nothing of it is saved."""
        super().__init__()
        # In units of 0..255, which saves a pass over the pixels for the division.
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", 255.0 * torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255.0 * torch.tensor(_STD).view(3, 1, 1), persistent=False)

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
