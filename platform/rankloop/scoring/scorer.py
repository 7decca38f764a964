"""A trained model, ready to score images."""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from rankloop import images
from rankloop.errors import CheckpointError, ConfigError, ImageError
from rankloop.methods import METHODS, find_method
from rankloop.methods.configuration import make_config
from rankloop.methods.method import Method
from rankloop.methods.views import mean_scores
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

    def read(self, image: bytes | str) -> np.ndarray:
        """Return an image file's views, uint8 (k, h, w, 3): see `Method.views`.

        Args:
            image: content, path or URI of the file.

        Raises:
            ImageError: it cannot be read, or is too small.
        """
        return read_views(image, self.method, self.config)

    def score_views(self, views: Sequence[np.ndarray]) -> np.ndarray:
        """Score n images by the mean of their views, uint8 (k, h, w, 3) each: float32 (n,)."""
        with _full_precision(self.device):
            return mean_scores(self.method, self.model, views, self.device)

    def score_arrays(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Score decoded images, uint8 (h, w, 3) each: float32 (n,).

        Those of a method that resizes images are cut and resized here where they need to be.

        Raises:
            ImageError: an image is too small.
            ValueError: another dtype or shape.
        """
        return self.score_views([views_of(image, self.method, self.config) for image in arrays])

    def density(self, image: np.ndarray) -> np.ndarray:
        """Return the density map of a decoded image, uint8 (h, w, 3): float32 (h', w').

        Raises:
            ConfigError: the method makes none.
        """
        if self.method.density is None:
            raise no_density(self.method)
        pixels = torch.tensor(image).permute(2, 0, 1)[None].to(self.device)
        with _full_precision(self.device):
            maps = self.method.density(self.model, pixels)
        found: np.ndarray = maps[0].cpu().numpy()
        return found

    def score_image(self, image: bytes | str) -> float:
        """Score one image file, given by its content, its path or its URI.

        Raises:
            ImageError: it cannot be read, or is too small.
        """
        return float(self.score_views([self.read(image)])[0])


def no_density(method: Method) -> ConfigError:
    """Return the error of a method that makes no density maps, naming those that do."""
    making = " and ".join(name for name, one in METHODS.items() if one.density is not None)
    return ConfigError(f"{method.name} makes no density maps: {making} does")


def read_views(image: bytes | str, method: Method, config: Any) -> np.ndarray:
    """Return the views of an image file, as `ImageScorer.read` does, without its model."""
    if isinstance(image, bytes):
        return views_of(images.decode(image), method, config)
    decoded = images.load_whole(image, None)
    try:
        return views_of(decoded, method, config)
    except ImageError as error:
        raise ImageError(f"{image}: {error}") from error


def views_of(image: np.ndarray, method: Method, config: Any) -> np.ndarray:
    """Return the views of a decoded image, uint8 (h, w, 3).

    Raises:
        ImageError: it is too small.
        ValueError: another dtype or shape.
    """
    images.check_image(image)
    size, least = method.image_size(config), method.least_side(config)
    height, width, _ = image.shape
    if min(height, width) < least:
        raise ImageError(
            f"its {width} x {height} pixels hold no square of {least}, which the model sees: use "
            "larger images"
        )
    return method.views(image if size is None else images.fit(image, None, size), config)


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
    ``checkpoint/``, or a run, of which the newest whole one in ``checkpoints/step-*`` is taken, or
    a campaign of active learning, of which the run of the newest cycle with a whole one is.

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
    for cycle in sorted(
        (name for name in folder.names() if name.startswith("cycle-")), reverse=True
    ):
        newest = load_latest(folder / cycle / "run" / "checkpoints", training=False)
        if newest is not None:
            return newest
    raise CheckpointError(
        f"no checkpoint in {folder}: looked for state.json, checkpoint/state.json, "
        "checkpoints/step-* and cycle-*/run; give the folder of a checkpoint, of a result, of a "
        "run or of a campaign"
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
