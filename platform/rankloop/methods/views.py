"""Scores of images from those of their views."""

import numpy as np
import torch
from torch import nn

from rankloop.methods.method import Method

# Views per call of the model: enough to keep it busy, few enough for any memory.
_AT_ONCE = 64


def mean_scores(
    method: Method, model: nn.Module, views: np.ndarray, device: torch.device
) -> np.ndarray:
    """Score images by the mean score of their views.

    Args:
        method: what the model is of.
        model: in evaluation mode, on the device.
        views: uint8 (n, k, s, s, 3), k views of each of n images.
        device: where to score.

    Returns:
        float32 (n,).
    """
    n, k = views.shape[:2]
    flat = views.reshape(n * k, *views.shape[2:])
    found = [np.empty(0, np.float32)]
    for start in range(0, len(flat), _AT_ONCE):
        # A copy: Ray's arrays are read-only, which torch does not know.
        batch = torch.tensor(flat[start : start + _AT_ONCE]).permute(0, 3, 1, 2).to(device)
        found.append(method.predict(model, batch).float().cpu().numpy())
    scores = np.concatenate(found).reshape(n, k)
    means: np.ndarray = scores.mean(axis=1, dtype=np.float64).astype(np.float32)
    return means
