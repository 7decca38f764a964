"""Progress of long counts: a bar in a terminal, a line every few seconds in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import Progress

SECONDS_BETWEEN_LINES = 5.0


def paced(
    tell: Callable[..., Any], now: Callable[[], float] = time.monotonic
) -> Callable[..., None]:
    """Pass on some of the calls: five seconds apart, in long runs a twentieth of their time."""
    start = last = now()

    def call(*arguments: Any) -> None:
        nonlocal last
        moment = now()
        if moment - last >= max(SECONDS_BETWEEN_LINES, (moment - start) / 20):
            last = moment
            tell(*arguments)

    return call


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
