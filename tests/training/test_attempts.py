import pytest

from rankloop.errors import TrainingError
from rankloop.storage import open_folder
from rankloop.training.attempts import (
    ATTEMPTS,
    MOST_ATTEMPTS,
    MOST_BEGINNINGS,
    begin_attempt,
    forget_attempts,
)


@pytest.fixture
def folder(tmp_path):
    return open_folder(str(tmp_path))


def reach(folder, step):
    (folder / "checkpoints" / f"step-{step:09d}").write_bytes("state.json", b"{}")


def test_what_gets_nowhere_is_not_tried_for_ever(folder):
    for _ in range(MOST_ATTEMPTS):
        begin_attempt(folder, workers=2)
    with pytest.raises(TrainingError, match=f"lost {MOST_ATTEMPTS} times .* than step 0"):
        begin_attempt(folder, workers=2)
    # A new command has all its attempts again.
    forget_attempts(folder)
    begin_attempt(folder, workers=2)


def test_a_run_that_gets_further_may_lose_its_workers_as_often_as_it_likes(folder):
    for step in range(3 * MOST_ATTEMPTS):
        reach(folder, step + 1)
        begin_attempt(folder, workers=2)


def test_a_cluster_that_grows_and_shrinks_is_no_failure(folder):
    for turn in range(MOST_BEGINNINGS):
        begin_attempt(folder, workers=1 + turn % 2)


def test_hosts_that_come_and_go_faster_than_checkpoints_are_not_waited_for_for_ever(folder):
    for step in (0, 7):
        reach(folder, step)
        for turn in range(MOST_BEGINNINGS):
            begin_attempt(folder, workers=1 + turn % 2)
    with pytest.raises(TrainingError, match=f"lost {MOST_BEGINNINGS} times .* step 7: .*--checkp"):
        begin_attempt(folder, workers=1)


def test_a_note_cut_in_half_counts_for_nothing(folder):
    begin_attempt(folder, workers=1)
    folder.write_bytes(ATTEMPTS, b'{"step": 0, "wor')
    begin_attempt(folder, workers=1)
    assert folder.read_json(ATTEMPTS)["begun"] == 1
