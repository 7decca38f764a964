"""Room for workers is waited for without end; workers that are always lost end the training."""

import pytest
from ray.exceptions import RayActorError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
from ray.train.v2._internal.execution.failure_handling import (
    DefaultFailurePolicy,
    FailureDecision,
)
from ray.train.v2._internal.util import invoke_context_managers

from rankloop.errors import TrainingError
from rankloop.training.attempts import MOST_FAILURES
from rankloop.training.worker_starts import WorkerStarts, failure_config

RETRY, RAISE = FailureDecision.RETRY, FailureDecision.RAISE


@pytest.fixture
def policy():
    return DefaultFailurePolicy(failure_config())


@pytest.fixture
def start(policy):
    """Let a start end with an error, or well; return Train's decision."""
    callback = WorkerStarts(lambda: None)

    def start(error=None):
        try:
            with invoke_context_managers([callback.on_worker_group_start]):
                if error is not None:
                    raise error from RayActorError(error_msg="its host is gone")
        except Exception as found:
            return policy.make_decision(ControllerError(found)), found
        return None

    return start


def no_room():
    return WorkerGroupStartupTimeoutError(1)


def lost():
    return WorkerGroupStartupFailedError("at least one failed")


def test_room_is_waited_for_without_end(start):
    assert {start(no_room())[0] for _ in range(2 * MOST_FAILURES)} == {RETRY}


def test_workers_that_are_lost_in_their_work_again_and_again_end_the_training(policy):
    gone = WorkerGroupError("", {0: RayActorError(error_msg="its host is gone")})
    decisions = [policy.make_decision(gone) for _ in range(MOST_FAILURES + 1)]
    assert decisions == [RETRY] * MOST_FAILURES + [RAISE]


def test_workers_that_are_lost_in_their_start_again_and_again_end_the_training(start):
    for _ in range(MOST_FAILURES):
        assert start(lost())[0] == RETRY
        # Waiting in between neither counts nor makes good.
        assert start(no_room())[0] == RETRY
    decision, error = start(lost())
    assert decision == RAISE
    assert isinstance(error, TrainingError)
    assert f"lost {MOST_FAILURES + 1} times in a row" in str(error)
    assert "its host is gone" in str(error)


def test_every_start_is_told_of_before_it_has_room():
    told = []
    callback = WorkerStarts(lambda: told.append("starts"))
    for _ in range(2):
        with callback.on_worker_group_start():
            told.append("has room")
    assert told == ["starts", "has room"] * 2


def test_a_start_that_went_well_makes_good_those_before_it(start):
    for _ in range(2):
        for _ in range(MOST_FAILURES):
            assert start(lost())[0] == RETRY
        assert start() is None
