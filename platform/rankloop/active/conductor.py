"""The actor that drives a campaign: it holds no truth, and may be killed at any moment."""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from rankloop.active.answer_folder import AnswerFolder
from rankloop.active.campaign import SELECTED, TRAINED, Campaign, open_campaign
from rankloop.active.cycle import Resources, run_cycle
from rankloop.active.held_out import HeldOutLabels
from rankloop.active.label_source import Answers, LabelSource
from rankloop.active.view import show
from rankloop.cluster import beside_driver, connected
from rankloop.locking import STALE_SECONDS, locked
from rankloop.shown import warn_without_passwords
from rankloop.storage import Folder

NAMESPACE = "rankloop"
_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Orders:
    """How far to drive.

    Attributes:
        cycles: of the papers' protocol, with held-out labels; None for one scheduled round: on
            until labels are missing.
        resources: for training and scoring.
        enough: share of the images asked about that must have a label before a cycle is done.
        settled_seconds: see `AnswerFolder`.
    """

    cycles: int | None
    resources: Resources
    enough: float = 1.0
    settled_seconds: float = 5.0


def drive(
    folder: Folder,
    storage: Folder,
    orders: Orders,
    tell: Callable[[str], None],
    *,
    patience: float = 0.0,
) -> Answers | None:
    """Do all cycles that can be done, in this process.

    Args:
        folder: the campaign's.
        storage: what it is in.
        orders: how far.
        tell: told of every step, in one line.
        patience: see `locked`.

    Returns:
        What came back of the last request, if labels are missing; else None.

    Raises:
        LockedError: another driver is at work on this campaign.
    """
    with locked(folder, patience=patience):
        campaign = open_campaign(folder)
        held_out = campaign.plan.labelling == "held_out"
        source: LabelSource = HeldOutLabels() if held_out else AnswerFolder(orders.settled_seconds)
        number = begun = campaign.cycles_done()
        # After T cycles of asking, one more trains on all that was asked for; a round ends when it
        # has asked.
        last = begun + 1 if orders.cycles is None else orders.cycles + 1
        while number <= last and not _ended(campaign, number, source):
            started, whole = time.monotonic(), not campaign.cycle(number).has(TRAINED)
            answers = run_cycle(
                campaign,
                number,
                source,
                orders.resources,
                asks=orders.cycles is None or number < last,
                enough=orders.enough,
                tell=tell,
            )
            show(campaign, storage)
            if number and whole:
                tell(f"cycle {number}: {_spent(campaign, number, time.monotonic() - started)}")
            if answers is not None:
                return answers
            number += 1
        return None


def _spent(campaign: Campaign, number: int, total: float) -> str:
    """Seconds of a cycle by phase; the rest is asking, taking in, pictures and MLflow."""
    cycle = campaign.cycle(number)
    phases = dict(cycle.read_json(TRAINED)["seconds"])
    if cycle.has(SELECTED):
        phases |= cycle.read_json(SELECTED)["seconds"]
    rest = max(0.0, total - sum(phases.values()))
    parts = [f"{name} {seconds:.0f} s" for name, seconds in phases.items()]
    return (
        f"took {total:.0f} s: {', '.join(parts)}, other {rest:.0f} s ({100 * rest / total:.0f} %)"
    )


def _ended(campaign: Campaign, number: int, source: LabelSource) -> bool:
    """Whether nothing was left to ask about in the cycle before, and nothing new has come since."""
    if number < 2 or campaign.selected(number - 1):
        return False
    late = source.answers(campaign, number - 1, []).labels
    taken = campaign.labels(number)
    before = campaign.labels(number - 1)
    return before == taken and all(taken.get(image) == label for image, label in late.items())


def drive_by_actor(
    folder: Folder, storage: Folder, orders: Orders, tell: Callable[[str], None]
) -> Answers | None:
    """Let a named, detached actor drive, and pass on what it tells.

    If it is killed it starts again by itself, and goes on from the files. If the same campaign's
    actor is at work for another caller, or for one that is gone, this call follows it to its end
    first.

    Raises:
        LockedError: a driver elsewhere is at work on this campaign.
    """
    with connected():
        import ray

        digest = hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()
        while True:
            actor = _new_actor(f"conductor-{digest}", tell)
            drive_actor = actor.drive.options(concurrency_group="driving")
            driving = drive_actor.remote(folder, storage, orders)
            ended = partial(ray.wait, [driving], timeout=_SECONDS_BETWEEN_LOOKS)
            try:
                _follow(actor, lambda ended=ended: bool(ended()[0]), tell)  # type: ignore[misc]
                found: Answers | None = ray.get(driving)
                return found
            except ray.exceptions.RayTaskError as error:
                # Ours is one line; Ray adds lines of its own.
                raise error.cause from None
            except ray.exceptions.RayActorError:
                # Another call took it for idle just when it started again: the files say where.
                continue
            finally:
                ray.kill(actor)


def _new_actor(name: str, tell: Callable[[str], None]) -> Any:
    """Start the actor of this name, once none is at work any more."""
    import ray

    # Lines are fetched while it drives.
    groups = {"driving": 1, "telling": 1}
    options = {
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "num_cpus": 0,
        "scheduling_strategy": beside_driver(),
        "max_restarts": -1,
        "max_task_retries": -1,
    }
    while True:
        try:
            return ray.remote(concurrency_groups=groups)(_Conductor).options(**options).remote()
        except ray.exceptions.ActorAlreadyExistsError:
            with suppress(ValueError, ray.exceptions.RayActorError):
                known = ray.get_actor(name, namespace=NAMESPACE)
                _follow(known, partial(_idle, known), tell)
                ray.kill(known)
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _idle(actor: Any) -> bool:
    import ray

    time.sleep(_SECONDS_BETWEEN_LOOKS)
    return not ray.get(actor.busy.options(concurrency_group="telling").remote())


def _follow(actor: Any, ended: Callable[[], bool], tell: Callable[[str], None]) -> None:
    import ray

    process, told = 0, 0
    over = False
    while not over:
        over = ended()
        found, lines = ray.get(actor.lines.options(concurrency_group="telling").remote(told))
        if found != process:
            # It was killed and starts again: so do its lines.
            process, told = found, 0
            _, lines = ray.get(actor.lines.options(concurrency_group="telling").remote(0))
        for line in lines:
            tell(line)
        told += len(lines)


class _Conductor:
    def __init__(self) -> None:
        # To Ray's logs, which others can read.
        warn_without_passwords()
        self._lines: list[str] = []
        self._begun = time.monotonic()
        self._busy = False

    def drive(self, folder: Folder, storage: Folder, orders: Orders) -> Answers | None:
        import ray

        self._busy = True
        # Started again on another node, it meets the lock of its own former self.
        again = ray.get_runtime_context().was_current_actor_reconstructed
        patience = 1.5 * STALE_SECONDS if again else 0.0
        try:
            return drive(folder, storage, orders, self._tell, patience=patience)
        finally:
            self._busy = False

    def busy(self) -> bool:
        return self._busy

    def lines(self, after: int) -> tuple[int, list[str]]:
        return os.getpid(), self._lines[after:]

    def _tell(self, line: str) -> None:
        self._lines.append(f"[{time.monotonic() - self._begun:5.0f} s] {line}")
