"""Images out of remote storage: what waits for one of them leaves time to ask for others."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

# The first byte from an object store takes some 100 ms, and decoding 5: this many at once leave a
# core little to wait for; no more are decoded at once than there are cores.
REMOTE_READS = 8
_A = TypeVar("_A")
_T = TypeVar("_T")


def reads_at_once(uris: pa.ChunkedArray) -> int:
    """Return how many images a process should read at once: one, unless some are remote."""
    return REMOTE_READS if pc.any(pc.match_substring(uris, "://")).as_py() else 1


def in_order(make: Callable[[_A], _T], of: Iterable[_A], at_once: int) -> Iterator[_T]:
    """Yield what a function makes of each argument, in their order; several are made at once.

    Raises:
        Exception: what the function raised, in its place.
    """
    if at_once == 1:
        yield from map(make, of)
        return
    with ThreadPoolExecutor(at_once, "rankloop-read") as pool:
        yield from pool.map(make, of)
