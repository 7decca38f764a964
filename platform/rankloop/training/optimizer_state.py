"""Any torch optimiser's state as named tensors and JSON values, and back."""

from typing import Any

import torch

_PREFIX = "optimizer"


def optimizer_tensors(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the state as tensors named ``optimizer/<parameter>/<key>`` and plain numbers.

    The rates of the parameter groups are left out: they follow from the step.
    """
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {}
    for parameter, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            name = f"{_PREFIX}/{parameter}/{key}"
            if isinstance(value, torch.Tensor):
                tensors[name] = value
            else:
                numbers[name] = value
    return tensors, numbers


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]
) -> None:
    """Put back what `optimizer_tensors` returned."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **numbers}.items():
        prefix, *rest = name.split("/")
        if prefix == _PREFIX:
            parameter, key = rest
            state.setdefault(int(parameter), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
