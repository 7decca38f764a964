import time

import pytest

from rankloop import waiting
from rankloop.waiting import Waiting, needed


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(waiting, "SECONDS", 0.05)
    monkeypatch.setattr(waiting, "_cluster_now", lambda: "the cluster has 0 GPUs now")
    return []


def test_it_is_said_again_and_again_while_it_lasts(told):
    one = Waiting("1 GPU per trial", told.append)
    one.look(True)
    assert told == []
    for _ in range(2):
        time.sleep(0.06)
        one.look(True)
        one.look(True)
    assert told == ["waiting for 1 GPU per trial; the cluster has 0 GPUs now"] * 2
    time.sleep(0.06)
    one.look(False)
    one.look(True)
    assert len(told) == 2


def test_rows_are_waited_for_until_the_first(told):
    def rows():
        time.sleep(0.3)
        yield 1
        said = len(told)
        assert said
        time.sleep(0.3)
        assert len(told) == said
        yield 2

    assert list(Waiting("1 GPU", told.append).for_first(rows(), lambda: False)) == [1, 2]


def test_rows_that_are_being_made_are_not_waited_for(told):
    started = time.monotonic()

    def begun():
        return time.monotonic() - started > 0.3

    def rows():
        time.sleep(0.4)
        said = len(told)
        assert said
        time.sleep(0.3)
        assert len(told) == said
        yield 1

    assert list(Waiting("1 GPU", told.append).for_first(rows(), begun)) == [1]


def test_what_is_waited_for_again_is_said_again(told):
    waits = [True]
    with Waiting("1 GPU", told.append).looking(lambda: waits[0]):
        time.sleep(0.3)
        waits[0] = False
        time.sleep(0.15)
        said = len(told)
        assert said
        time.sleep(0.3)
        assert len(told) == said
        waits[0] = True
        time.sleep(0.3)
        assert len(told) > said


def test_what_is_needed_in_words():
    assert needed(1.0, 0.5, "trial") == "1 GPU per trial"
    assert needed(0.0, 1, "trial") == "1 core per trial"
    assert needed(0.0, 2.5, "worker") == "2.5 cores per worker"
