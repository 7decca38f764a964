"""Starts of a training's workers by Ray Train: told of, and tried again where workers are lost."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.train import ControllerError, FailureConfig
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError
from ray.train.v2._internal.execution.callback import (
    ControllerCallback,
    RayTrainCallback,
    WorkerGroupCallback,
)
from ray.train.v2._internal.execution.controller.state import (
    ReschedulingState,
    RestartingState,
    SchedulingState,
    TrainControllerState,
)
from ray.train.v2._internal.execution.worker_group import WorkerGroup

from rankloop.errors import TrainingError
from rankloop.shown import last_line
from rankloop.training.attempts import MOST_FAILURES

_log = logging.getLogger("rankloop")


def failure_config() -> FailureConfig:
    """Return what Train goes by: room is waited for without end, lost workers are counted.

    Train gives up a start for which there is no room after a minute, and counts that as a failure
    of its controller.
    """
    return FailureConfig(max_failures=MOST_FAILURES, controller_failure_limit=-1)


class LostInStartError(Exception):
    """Workers were lost in their start, or one of them says that it found no other."""


class WorkerStarts(WorkerGroupCallback, ControllerCallback):
    """Tells when workers are to be started, and ends Train's controller where they are lost in it.

    Train takes workers for started before it has set them up. If they are lost then, it forgets
    them, and their room would never be free again.

    Args:
        on_start: called in Train's controller before it looks for room for workers.
    """

    def __init__(self, on_start: Callable[[], object]) -> None:
        self._on_start = on_start
        self._group: WorkerGroup | None = None

    def after_worker_group_start(self, worker_group: WorkerGroup) -> None:
        """Keep what Train may forget."""
        self._group = worker_group

    async def before_controller_shutdown(self) -> None:
        """Give back the room of workers that Train has forgotten."""
        if self._group is not None and self._group.has_started():
            self._group.abort()

    def after_controller_state_update(
        self, previous_state: TrainControllerState, current_state: TrainControllerState
    ) -> None:
        """Tell of a start, for which there may be no room yet."""
        starting = isinstance(current_state, SchedulingState | RestartingState | ReschedulingState)
        if starting and type(current_state) is not type(previous_state):
            self._on_start()

    @contextmanager
    def on_worker_group_start(self) -> Iterator[None]:
        """Turn what says that workers were lost into what is not tried again by Train."""
        try:
            yield
        except (WorkerGroupStartupFailedError, RayActorError, RayTaskError) as error:
            raise LostInStartError(str(error.__cause__ or error)) from error


class WatchedTrainer(TorchTrainer):
    """Ray Train's, with `WorkerStarts` before all of its own callbacks, since these may fail.

    Ctrl-C ends it as it ends any other code.

    Args:
        on_start: see `WorkerStarts`.
        options: of `TorchTrainer`.
    """

    def __init__(self, *, on_start: Callable[[], object], **options: Any) -> None:
        super().__init__(**options)
        self._on_start = on_start

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        return [WorkerStarts(self._on_start), *super()._create_default_callbacks()]

    def _register_sigint_handler(self, controller: Any) -> None:
        # Train's would take Ctrl-C for itself, for good.
        pass


def fit(new_trainer: Callable[[], TorchTrainer]) -> None:
    """Run a training to its end, with a new controller each time that workers were lost in a start.

    Args:
        new_trainer: makes what runs it, under a new name.

    Raises:
        TrainingError: they were lost more than MOST_FAILURES times.
        TrainingFailedError: Ray Train's; it failed otherwise.
    """
    for lost in count(1):
        try:
            new_trainer().fit()
            return
        except ControllerError as error:
            # The latter where they were lost just after it, before they were told to begin.
            if not isinstance(error.controller_failure, LostInStartError | RayActorError):
                raise
            why = last_line(str(error.controller_failure))
        if lost > MOST_FAILURES:
            raise TrainingError(f"workers were lost {lost} times in their start, at last: {why}")
        _log.warning(
            "workers were lost in their start, and are started again (%d of at most %d times): %s",
            lost,
            MOST_FAILURES,
            why,
        )
