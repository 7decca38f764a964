"""Ray Train's starts of a training's workers: told of, and counted where the workers are lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray.train import FailureConfig
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError
from ray.train.v2._internal.execution.callback import WorkerGroupCallback

from rankloop.errors import TrainingError
from rankloop.training.attempts import MOST_FAILURES


def failure_config() -> FailureConfig:
    """Return what Train goes by: room is waited for without end, lost workers are counted.

    Train gives up a start for which there is no room after a minute, and counts that as a failure
    of its controller, for good; so it does where workers are lost in their start, which
    `WorkerStarts` counts instead.
    """
    return FailureConfig(max_failures=MOST_FAILURES, controller_failure_limit=-1)


class WorkerStarts(WorkerGroupCallback):
    """Tells of starts, and ends a training whose workers are lost in MOST_FAILURES in a row.

    Args:
        on_start: called in Train's controller before it looks for room for workers.

    Raises:
        TrainingError: in Train's controller, which tries nothing again after it.
    """

    def __init__(self, on_start: Callable[[], object]) -> None:
        self._on_start = on_start
        self._most = MOST_FAILURES
        self._lost = 0

    @contextmanager
    def on_worker_group_start(self) -> Iterator[None]:
        """Tell of a start, and count it; one that found no room counts for nothing."""
        self._on_start()
        try:
            yield
        except WorkerGroupStartupFailedError as error:
            self._lost += 1
            if self._lost > self._most:
                raise TrainingError(
                    f"workers were lost {self._lost} times in a row before they had started: "
                    f"{error.__cause__ or error}"
                ) from error
            raise
        self._lost = 0
