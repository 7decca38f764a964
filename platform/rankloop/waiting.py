"""Saying what a job waits for while the cluster has no room for it yet."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar

from rankloop.cluster import beside_driver

# Until it is said, and between two times that it is.
SECONDS = 60.0
_T = TypeVar("_T")


class Waiting:
    """Says every minute what is waited for, as long as it is.

    Args:
        needed: as in "1 GPU per trial".
        tell: told of it, in one line.
    """

    def __init__(
        self, needed: str, tell: Callable[[str], object] = lambda line: print(line, flush=True)
    ) -> None:
        self._needed, self._tell = needed, tell
        self._since = time.monotonic()

    def look(self, waits: bool) -> None:
        """Take note of whether it is waited for; to be called every second or so."""
        now = time.monotonic()
        if not waits:
            self._since = now
        elif now - self._since >= SECONDS:
            self._since = now
            self._tell(f"waiting for {self._needed}; {_cluster_now()}")

    @contextmanager
    def looking(self, waits: Callable[[], bool]) -> Iterator[None]:
        """Look every second beside the block.

        Args:
            waits: says whether it is waited for.
        """
        over = threading.Event()

        def look() -> None:
            while not over.wait(min(1.0, SECONDS)):
                self.look(waits())

        thread = threading.Thread(target=look, name="rankloop-waiting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def for_first(self, rows: Iterable[_T], begun: Callable[[], bool]) -> Iterator[_T]:
        """Yield the rows, looking beside until the first of them is there or being made.

        Args:
            rows: to yield.
            begun: says whether any is being made.
        """
        have_one = threading.Event()
        with self.looking(lambda: not (have_one.is_set() or begun())):
            for row in rows:
                have_one.set()
                yield row


class Begun:
    """Whether any of Ray's workers has begun: it says so, and the driver asks.

    What is free says nothing of that: work that has begun takes all there is. An actor keeps what
    is said, until the block ends; without it nothing fails.
    """

    def __init__(self) -> None:
        import ray

        options = {"num_cpus": 0, "scheduling_strategy": beside_driver()}
        self._said = ray.remote(_Said).options(**options).remote()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Not waited for either, and no error where the actor is gone.
        self._said.__ray_terminate__.remote()

    def say(self) -> None:
        """Say that a worker has begun; in that worker, which does not wait for an answer."""
        self._said.say.remote()

    def __call__(self) -> bool:
        """Return whether any has; true also where it can no longer be known."""
        import ray
        from ray.exceptions import RayActorError

        try:
            return bool(ray.get(self._said.is_said.remote()))
        except RayActorError:
            return True


class _Said:
    def __init__(self) -> None:
        self._is = False

    def say(self) -> None:
        self._is = True

    def is_said(self) -> bool:
        return self._is


def needed(gpus: float, cpus: float, each: str) -> str:
    """Return what is needed in words: "1 GPU per trial", "2 cores per worker".

    Args:
        gpus: GPUs of each; of those that have one their cores are not named.
        cpus: cores of each.
        each: what each is, as in "trial".
    """
    amount, unit = (gpus, "GPU") if gpus else (cpus, "core")
    return f"{amount:g} {unit}{'s' if amount > 1 else ''} per {each}"


def _cluster_now() -> str:
    import ray

    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    return (
        f"the cluster has {gpus} GPUs and {cpus} cores now; `ray status` says what it is starting"
    )
