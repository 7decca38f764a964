"""Scores of images from those of their views."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from rankloop.methods.method import Method

# Views per call of the model: enough to keep it busy, few enough for any memory.
_AT_ONCE = 64


def mean_scores(
    method: Method, model: nn.Module, views: Sequence[np.ndarray], device: torch.device
) -> np.ndarray:
    """Score images by the mean score of their views; views of one shape go through together.

    Args:
        method: what the model is of.
        model: in evaluation mode, on the device.
        views: of each of n images its views, uint8 (k, h, w, 3); images may differ in shape.
        device: where to score.

    Returns:
        float32 (n,).
    """
    means = np.empty(len(views), np.float32)
    shapes: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(views):
        shapes.setdefault(image.shape, []).append(number)
    for (k, *_), numbers in shapes.items():
        flat = [view for number in numbers for view in views[number]]
        scores = [
            _scores(method, model, flat[start : start + _AT_ONCE], device)
            for start in range(0, len(flat), _AT_ONCE)
        ]
        means[numbers] = np.concatenate(scores).reshape(-1, k).mean(axis=1, dtype=np.float64)
    return means


def _scores(
    method: Method, model: nn.Module, views: Sequence[np.ndarray], device: torch.device
) -> np.ndarray:
    # np.stack copies: Ray's arrays are read-only, which torch does not know.
    batch = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).to(device)
    found: np.ndarray = method.predict(model, batch).float().cpu().numpy()
    return found
