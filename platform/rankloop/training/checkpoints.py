"""Checkpoints: safetensors and JSON only, complete or not there at all."""

import hashlib
import json
import logging
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from rankloop.errors import CheckpointError, DamagedFileError, MissingFileError, StorageError
from rankloop.methods.method import Method
from rankloop.storage import Folder

KEEP = 2
_MODEL, _OPTIMIZER, _CONFIG = "model.safetensors", "optimizer.safetensors", "config.json"
_SCORING_FILES = (_MODEL, _CONFIG)
# Named here and not by state.json, which may come from anybody.
_FILES = (*_SCORING_FILES, _OPTIMIZER)
_CONFIG_TYPES: dict[str, type] = {"method": str, "config": dict, "seed": int}
_STEP = re.compile(r"step-[0-9]{9}")
_T = TypeVar("_T")
_log = logging.getLogger("rankloop")


@dataclass(frozen=True)
class Checkpoint:
    """A model at one step, with all that is needed to go on training or to score.

    Attributes:
        step: number of training steps done.
        model: the model's state_dict, on the CPU.
        training: tensors of the optimiser and the loss history; empty in a checkpoint for scoring.
        config: JSON: method, its resolved configuration, seed, score direction.
        state: JSON: everything else that changes during training.
    """

    step: int
    model: dict[str, torch.Tensor]
    training: dict[str, torch.Tensor]
    config: dict[str, Any]
    state: dict[str, Any]


def save_checkpoint(parent: Folder, name: str, checkpoint: Checkpoint) -> Folder:
    """Write a checkpoint folder; ``state.json`` lists the other files' digests and comes last.

    Raises:
        StorageError: the disk is full, say; checkpoints written before are untouched.
    """
    files = {
        _MODEL: save(_contiguous(checkpoint.model)),
        _OPTIMIZER: save(_contiguous(checkpoint.training)),
        _CONFIG: _json(checkpoint.config),
    }
    state = {
        "step": checkpoint.step,
        "state": checkpoint.state,
        "sha256": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()},
    }
    files["state.json"] = _json(state)
    # Where folders can be renamed, a checkpoint appears in one piece; in a bucket it counts from
    # the moment its last object, state.json, is there.
    beside = parent / f".{name}.{uuid.uuid4().hex}" if parent.is_local else parent / name
    try:
        for file, data in files.items():
            beside.write_bytes(file, data)
        if parent.is_local:
            shutil.rmtree(f"{parent}/{name}", ignore_errors=True)
            Path(beside.path).rename(f"{parent}/{name}")
    except OSError as error:
        raise StorageError(f"cannot write checkpoint {parent}/{name}: {error}") from error
    finally:
        if parent.is_local:
            shutil.rmtree(beside.path, ignore_errors=True)
    return parent / name


def load_checkpoint(folder: Folder, *, training: bool = True) -> Checkpoint:
    """Read a checkpoint folder and check every file against its digest.

    Args:
        folder: the checkpoint.
        training: whether to read the optimiser's tensors too.

    Raises:
        CheckpointError: it is missing, cut short, damaged, or holds other files than ours.
        StorageError: the storage cannot be reached, which says nothing of the checkpoint.
    """
    try:
        state = folder.read_json("state.json")
        digests = {name: state["sha256"][name] for name in (_FILES if training else _SCORING_FILES)}
        files = {name: folder.read_bytes(name) for name in digests}
    except (MissingFileError, DamagedFileError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {folder} is incomplete: {error}") from error
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != digests[name]:
            raise CheckpointError(
                f"checkpoint {folder} is damaged: {name} ({len(data)} bytes) does not match "
                "the digest in state.json"
            )
    try:
        return Checkpoint(
            step=_of_type(state, "step", int, "state.json"),
            model=load(files[_MODEL]),
            training=load(files[_OPTIMIZER]) if training else {},
            config=_checked_config(json.loads(files[_CONFIG])),
            state=_of_type(state, "state", dict, "state.json"),
        )
    # Brackets in brackets end in RecursionError.
    except (SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {folder} is not one of ours: {error}") from error


def _checked_config(config: Any) -> dict[str, Any]:
    for name, kind in _CONFIG_TYPES.items():
        _of_type(config, name, kind, _CONFIG)
    return dict(config)


def _of_type(value: Any, name: str, kind: type[_T], file: str) -> _T:
    found = value.get(name) if isinstance(value, dict) else None
    # True is an int to isinstance.
    if type(found) is not kind:
        raise ValueError(f"{file} gives {name} as {found!r:.100}, which is no {kind.__name__}")
    return found


def step_name(step: int) -> str:
    """Name of the checkpoint of a step; names sort as steps do."""
    return f"step-{step:09d}"


def load_latest(parent: Folder, *, training: bool = True) -> Checkpoint | None:
    """Return the newest whole checkpoint of a run, or None when there is none.

    A damaged checkpoint is passed over with a warning that names it and the one used instead.

    Args:
        parent: folder of the run's checkpoints.
        training: whether to read the optimiser's tensors too.
    """
    damaged: list[str] = []
    for name in sorted(_steps(parent), reverse=True):
        try:
            checkpoint = load_checkpoint(parent / name, training=training)
        except CheckpointError as error:
            damaged.append(str(error))
            continue
        for message in damaged:
            _log.warning("%s; using the one before, %s", message, name)
        return checkpoint
    for message in damaged:
        _log.warning("%s; no earlier one is whole", message)
    return None


def newest_step(parent: Folder) -> int | None:
    """Return the step of a run's newest checkpoint, whole or not, or None when there is none."""
    return max((int(name.removeprefix("step-")) for name in _steps(parent)), default=None)


def restored_model(method: Method, config: Any, checkpoint: Checkpoint) -> nn.Module:
    """Return a checkpoint's model on the CPU, in evaluation mode.

    Raises:
        CheckpointError: its tensors do not fit the model that the configuration describes.
    """
    # The checkpoint replaces the initial weights: none need to be found or downloaded.
    model = method.build(config.model_copy(update={"weights": "none"}), 0)
    try:
        model.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint of step {checkpoint.step} does not fit the {method.name} model of its "
            f"own configuration: {' '.join(str(error).split())}"
        ) from error
    return model.eval()


def prune(parent: Folder, keep: int = KEEP) -> None:
    """Remove all but the newest checkpoints of a run, and what crashes left half-written."""
    steps = sorted(_steps(parent))
    hidden = [name for name in parent.names() if name.startswith(".step-")]
    for name in [*steps[:-keep], *hidden]:
        parent.remove(name)


def discard_after(parent: Folder, step: int) -> None:
    """Remove checkpoints later than a step: damaged ones that a run goes on without."""
    for name in _steps(parent):
        if name > step_name(step):
            parent.remove(name)


def _steps(parent: Folder) -> list[str]:
    return [name for name in parent.names() if _STEP.fullmatch(name)]


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"


def _contiguous(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
