"""A trained model, ready to score images."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from rankloop import images
from rankloop.errors import CheckpointError
from rankloop.methods import find_method
from rankloop.methods.configuration import make_config
from rankloop.methods.method import Method
from rankloop.storage import Folder, open_folder
from rankloop.training.checkpoints import (
    Checkpoint,
    load_checkpoint,
    load_latest,
    restored_model,
)

_cudnn_flags = threading.Lock()


@dataclass(frozen=True)
class ImageScorer:
    """A trained model with all that it needs to score an image.

    The score of an image does not depend on the images scored with it (to 1e-5).

    Attributes:
        method: what trained it.
        config: the method's configuration.
        model: the model, in evaluation mode.
        device: where the model is.
    """

    method: Method
    config: Any
    model: nn.Module
    device: torch.device

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score means a better image."""
        return self.method.higher_is_better

    @property
    def image_size(self) -> int:
        """Side s in pixels to which images are brought."""
        return int(self.config.image_size)

    def score_arrays(self, arrays: np.ndarray) -> np.ndarray:
        """Score images that are cut and resized, in one call: uint8 (n, s, s, 3) to float32 (n,).

        Raises:
            ValueError: another dtype or shape.
        """
        size = self.image_size
        if arrays.dtype != np.uint8 or arrays.ndim != 4 or arrays.shape[1:] != (size, size, 3):
            raise ValueError(
                f"images are {arrays.dtype} of shape {arrays.shape}: "
                f"give uint8 (n, {size}, {size}, 3)"
            )
        if not len(arrays):
            return np.empty(0, np.float32)
        # A copy: Ray's arrays are read-only, which torch does not know.
        batch = torch.tensor(arrays).permute(0, 3, 1, 2).to(self.device)
        with _full_precision(self.device):
            scores: np.ndarray = self.method.predict(self.model, batch).float().cpu().numpy()
        return scores

    def score_image(self, image: bytes | str) -> float:
        """Score one image file, given by its content, its path or its URI.

        Raises:
            ImageError: it cannot be read.
        """
        return float(self.score_arrays(read_image(image, self.image_size)[None])[0])


def read_image(image: bytes | str, size: int) -> np.ndarray:
    """Return an image file's central square as uint8 (size, size, 3).

    Args:
        image: content, path or URI of the file.
        size: side in pixels.

    Raises:
        ImageError: it cannot be read.
    """
    if isinstance(image, bytes):
        return images.fit(images.decode(image), None, size)
    return images.load(image, None, size)


def load_scorer(location: str | Folder, device: str = "cpu") -> ImageScorer:
    """Return the scorer of a checkpoint, a training run or a result.

    Args:
        location: local folder or URI; see ``find_checkpoint``.
        device: where to put the model, as torch names it.

    Raises:
        CheckpointError: there is no whole checkpoint, or it does not fit its own configuration.
    """
    return make_scorer(find_checkpoint(location), device)


def find_checkpoint(location: str | Folder) -> Checkpoint:
    """Return the checkpoint that a folder is or holds, without what only training needs.

    The folder is a checkpoint (``state.json`` is in it), or a result with the winner's in
    ``checkpoint/``, or a run, of which the newest whole one in ``checkpoints/step-*`` is taken.

    Raises:
        CheckpointError: none is there, or none is whole.
    """
    folder = open_folder(location) if isinstance(location, str) else location
    for candidate in (folder, folder / "checkpoint"):
        if candidate.has("state.json"):
            return load_checkpoint(candidate, training=False)
    run = folder / "checkpoints"
    newest = load_latest(run, training=False)
    if newest is not None:
        return newest
    if any(name.startswith("step-") for name in run.names()):
        raise CheckpointError(
            f"no checkpoint of {folder} is whole: train again, or score with another"
        )
    raise CheckpointError(
        f"no checkpoint in {folder}: looked for state.json, checkpoint/state.json and "
        "checkpoints/step-*; give the folder of a checkpoint, of a result or of a run"
    )


def make_scorer(checkpoint: Checkpoint, device: str = "cpu") -> ImageScorer:
    """Return the scorer that a checkpoint holds.

    Raises:
        CheckpointError: its tensors do not fit the model that its configuration describes.
    """
    method = find_method(checkpoint.config["method"])
    config = make_config(method.config, checkpoint.config["config"])
    model = restored_model(method, config, checkpoint)
    return ImageScorer(method, config, model.to(device), torch.device(device))


def checkpoint_digest(checkpoint: Checkpoint) -> str:
    """Return a hexadecimal digest that two checkpoints share only if they score alike."""
    config = json.dumps(checkpoint.config, sort_keys=True).encode()
    return hashlib.sha256(save(checkpoint.model) + config).hexdigest()


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    # TF32 convolutions differ by more than 1e-5 from one batch size to another.
    if device.type != "cuda":
        yield
        return
    flags = {"enabled": True, "benchmark": False, "deterministic": True, "allow_tf32": False}
    # The flags are the process's: a thread that leaves must not undo those of another.
    with _cudnn_flags, torch.backends.cudnn.flags(**flags):
        yield
