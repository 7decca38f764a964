"""From standardised scores to the scale of the labels."""

import math

import torch
from torch import nn

from rankloop.errors import DataError


class ScoreScale(nn.Module):
    """Maps a network's output z to the score ``mean + deviation * z``; saved with the model.

    Losses in units of the deviation mean the same for opinions of 0 to 9 and of 0 to 100.

    Attributes:
        mean: of the training labels, float64 (); 0 until it is set.
        deviation: standard deviation of the training labels, float64 (); 1 until it is set.
    """

    def __init__(self) -> None:
        """Make the identity."""
        super().__init__()
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("deviation", torch.ones((), dtype=torch.float64))

    def set(self, labels: torch.Tensor) -> None:
        """Take mean and standard deviation of the training labels, float (n,).

        Raises:
            DataError: there are fewer than two different labels.
        """
        labels = labels.double()
        deviation = float(labels.std(correction=0)) if len(labels) else 0.0
        if not (math.isfinite(deviation) and deviation > 0):
            raise DataError(
                f"the {len(labels)} training labels are all equal: give at least two images with "
                "different scores"
            )
        self.mean.copy_(labels.mean())
        self.deviation.fill_(deviation)

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        """Map outputs to scores, float (n,)."""
        return self.mean.to(outputs.dtype) + self.deviation.to(outputs.dtype) * outputs

    def standardised(self, scores: torch.Tensor) -> torch.Tensor:
        """Map scores or labels, float (n,), to where the network's outputs are."""
        return (scores - self.mean.to(scores.dtype)) / self.deviation.to(scores.dtype)
