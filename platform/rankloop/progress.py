"""Progress of long counts: a bar in a terminal, a line every few seconds in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def counter(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, total) that shows progress on stderr while the block runs."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(what)
            yield lambda done, total: progress.update(task, completed=done, total=total)
        return
    start = last = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        ends = done == total and now - start >= SECONDS_BETWEEN_LINES
        if ends or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)

    yield line
