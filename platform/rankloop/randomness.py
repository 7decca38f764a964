"""The one place where random generators come from."""

import hashlib
from typing import Any

import numpy as np

Identity = str | int | np.integer[Any]


def _entropy(seed: int | np.integer[Any], identity: tuple[Identity, ...]) -> list[int]:
    # Each part carries its type and length, so ("ab", "c") and ("a", "bc"), or 1 and "1", differ.
    digest = hashlib.blake2b(digest_size=32)
    for given in (seed, *identity):
        # An index read from an array is the same choice as the plain number.
        part = int(given) if isinstance(given, np.integer) else given
        text = str(part).encode()
        digest.update(f"{type(part).__name__}:{len(text)}:".encode() + text)
    return np.frombuffer(digest.digest(), dtype=np.uint32).tolist()


def rng(seed: int | np.integer[Any], *identity: Identity) -> np.random.Generator:
    """Return the generator of one random choice: a function of the seed and of what is chosen.

    The same (seed, identity) gives the same numbers on any worker, today or after a crash;
    different identities give independent streams.

    Args:
        seed: the run's seed.
        *identity: what the choice is about and what it is for, e.g. ``("quadruplet", step, item)``;
            NumPy integers count as plain ones.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(_entropy(seed, identity))))


def derived_seed(seed: int | np.integer[Any], *identity: Identity) -> int:
    """Return a seed in [0, 2**32) for libraries that take an integer (torch, Optuna)."""
    return int(np.random.SeedSequence(_entropy(seed, identity)).generate_state(1)[0])
