"""Random initial weights that depend on a seed alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rankloop.randomness import derived_seed


@contextmanager
def seeded_initialisation(seed: int, purpose: str = "initialisation") -> Iterator[None]:
    """Make modules on the CPU, with weights of a seed; torch's generators are left as they were."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # torch.manual_seed would also reseed the GPUs' generators.
        torch.default_generator.manual_seed(derived_seed(seed, purpose))
        yield
