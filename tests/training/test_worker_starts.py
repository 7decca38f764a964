"""Room for workers is waited for without end; workers that are always lost end the training."""

from itertools import pairwise

import pytest
from ray.exceptions import RayActorError, RayTaskError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
from ray.train.v2._internal.execution.controller.state import (
    FinishedState,
    InitializingState,
    ReschedulingState,
    RestartingState,
    RunningState,
    SchedulingState,
    ShuttingDownState,
)
from ray.train.v2._internal.execution.failure_handling import (
    DefaultFailurePolicy,
    FailureDecision,
)
from ray.train.v2._internal.execution.scaling_policy import ResizeDecision
from ray.train.v2._internal.util import invoke_context_managers

from rankloop.errors import TrainingError
from rankloop.training.attempts import MOST_FAILURES
from rankloop.training.worker_starts import LostInStartError, WorkerStarts, failure_config, fit

RETRY, RAISE = FailureDecision.RETRY, FailureDecision.RAISE
GONE = RayActorError(error_msg="its host is gone")


@pytest.fixture
def policy():
    return DefaultFailurePolicy(failure_config())


def started(error=None, cause=None):
    """Let a start of workers end with an error, or well; return what Train's controller sees."""
    try:
        with invoke_context_managers([WorkerStarts(lambda: None).on_worker_group_start]):
            if error is not None:
                raise error from cause
    except Exception as found:
        return ControllerError(found)
    return None


def test_room_is_waited_for_without_end(policy):
    decisions = {
        policy.make_decision(started(WorkerGroupStartupTimeoutError(1)))
        for _ in range(2 * MOST_FAILURES)
    }
    assert decisions == {RETRY}


def test_workers_that_are_lost_in_their_work_again_and_again_end_the_training(policy):
    gone = WorkerGroupError("", {0: GONE})
    decisions = [policy.make_decision(gone) for _ in range(MOST_FAILURES + 1)]
    assert decisions == [RETRY] * MOST_FAILURES + [RAISE]


@pytest.mark.parametrize(
    ("error", "cause", "why"),
    [
        (WorkerGroupStartupFailedError("at least one failed"), GONE, "its host is gone"),
        # Of what is done in workers that have started, which Train does not expect to fail.
        (GONE, None, "its host is gone"),
        (RayTaskError("setup", "Traceback\nDistNetworkError: no way", OSError("no")), None, "no w"),
    ],
)
def test_workers_that_are_lost_in_their_start_end_the_controller(policy, error, cause, why):
    assert started() is None
    found = started(error, cause)
    assert isinstance(found.controller_failure, LostInStartError)
    assert why in str(found)
    assert policy.make_decision(found) == RAISE


def trainers(*errors):
    """Trainers that end with these errors, one after the other, and then one that ends well."""
    left = list(errors)
    made = []

    class Trainer:
        def __init__(self):
            made.append(self)

        def fit(self):
            if left:
                raise left.pop(0)

    return Trainer, made


def test_after_a_lost_start_another_controller_starts_the_workers(caplog):
    lost = ControllerError(LostInStartError("Traceback ...\nOSError: s3://me:secret@b is gone"))
    launch = ControllerError(GONE)
    new_trainer, made = trainers(lost, launch, lost)
    fit(new_trainer)
    assert len(made) == 4
    assert len(caplog.messages) == 3
    assert "(1 of at most 100 times): OSError: s3://b is gone" in caplog.messages[0]
    assert "its host is gone" in caplog.messages[1]


def test_lost_starts_are_not_tried_for_ever():
    lost = ControllerError(LostInStartError("its host is gone"))
    new_trainer, made = trainers(*[lost] * MOST_FAILURES)
    fit(new_trainer)
    assert len(made) == MOST_FAILURES + 1
    new_trainer, made = trainers(*[lost] * (MOST_FAILURES + 1))
    with pytest.raises(TrainingError, match=f"lost {MOST_FAILURES + 1} times .*host is gone"):
        fit(new_trainer)


@pytest.mark.parametrize(
    "error", [ControllerError(ValueError("a bug")), WorkerGroupError("lost", {0: GONE})]
)
def test_other_failures_are_not_tried_again(error):
    new_trainer, made = trainers(error)
    with pytest.raises(type(error)):
        fit(new_trainer)
    assert len(made) == 1


def test_every_search_for_room_is_told_of_once():
    decision = ResizeDecision(1, {})
    gone = WorkerGroupError("", {0: GONE})
    no_room = ControllerError(WorkerGroupStartupTimeoutError(1))
    restarting, again = RestartingState(gone), RestartingState(gone)
    rescheduling = ReschedulingState(no_room)
    told = []
    callback = WorkerStarts(lambda: told.append(True))
    seen = []
    states = [
        InitializingState(),
        SchedulingState(decision),
        RunningState(),
        RunningState(),
        # No host is left: so it stays until there is one.
        restarting,
        again,
        SchedulingState(decision),
        rescheduling,
        SchedulingState(decision),
        RunningState(),
        ShuttingDownState(FinishedState()),
    ]
    for before, now in pairwise(states):
        callback.after_controller_state_update(before, now)
        seen.append(len(told))
    assert seen == [1, 1, 1, 2, 2, 3, 4, 5, 5, 5]
