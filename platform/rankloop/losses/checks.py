"""What every loss refuses: shapes that would broadcast unasked, no pairs, bad margins."""

import math

import torch


def check_scores(*, dimensions: tuple[int, ...] = (1,), **scores: torch.Tensor) -> None:
    """Refuse scores whose mean loss would be meaningless.

    Args:
        dimensions: numbers of dimensions that the loss accepts.
        **scores: float tensors by argument name, all to be of one shape.

    Raises:
        ValueError: shapes differ, have another number of dimensions or are empty, or a dtype is
            not floating point.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in scores.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"scores have different shapes {shapes}: give one score to each image")
    shape = next(iter(shapes.values()))
    if len(shape) not in dimensions:
        expected = " or ".join(str(d) for d in dimensions)
        raise ValueError(f"scores have shape {shape}: give {expected} dimension(s)")
    if 0 in shape:
        raise ValueError(f"scores have shape {shape}: the mean over no pairs is undefined")
    for name, tensor in scores.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name} has dtype {tensor.dtype}: give floating-point scores")


def check_margin(margin: float) -> None:
    """Raise ValueError unless the margin is finite and not negative."""
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin is {margin}: give a finite margin >= 0, in score units")
