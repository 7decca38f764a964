import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rankloop import locking
from rankloop.cluster import SOURCE_ROOT
from rankloop.errors import ConfigError, LockedError, StorageError
from rankloop.locking import LOCK_NAME, STALE_SECONDS, locked
from rankloop.storage import open_folder

HOLD = """
import sys, time
from rankloop.locking import locked
from rankloop.storage import open_folder
with locked(open_folder(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def folder(tmp_path):
    return open_folder(str(tmp_path / "run"))


@pytest.fixture
def holder(folder):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder.path],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT)},
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def lock_of(folder, **changes):
    """Write the lock that this process would write, with changes."""
    folder.write_json(LOCK_NAME, {**locking._identity(), "heartbeat": time.time(), **changes})


def takes(folder):
    with locked(folder):
        return folder.read_json(LOCK_NAME)["pid"] == os.getpid()


def test_a_second_process_refuses_and_leaves_the_lock(folder, holder):
    before = folder.read_bytes(LOCK_NAME)
    with pytest.raises(LockedError, match=f"process {holder.pid} .* give another --storage"):
        takes(folder)
    assert folder.read_bytes(LOCK_NAME) == before


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lock_of_a_killed_process_is_taken_over(folder, holder, reaped):
    os.kill(holder.pid, signal.SIGKILL)
    if reaped:
        holder.wait()
    else:
        # A zombie: dead, but its number is still taken.
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert folder.has(LOCK_NAME)
    assert takes(folder)


def test_another_process_of_the_same_number_is_not_the_holder(folder):
    lock_of(folder, started=locking._identity()["started"] - 100.0)
    assert takes(folder)


def test_a_lock_from_before_the_machine_booted_is_taken_over(folder):
    lock_of(folder, boot=locking._identity()["boot"] - 1000.0)
    assert takes(folder)


def test_the_same_process_cannot_hold_it_twice(folder):
    with locked(folder), pytest.raises(LockedError), locked(folder):
        pass
    assert takes(folder)


def test_a_fresh_heartbeat_of_another_host_refuses(folder):
    lock_of(folder, host="elsewhere", heartbeat=time.time() - STALE_SECONDS / 2)
    with pytest.raises(LockedError, match=r"on elsewhere.*ends by itself in 1[45]\d s"):
        takes(folder)


def test_a_stale_heartbeat_of_another_host_is_taken_over(folder):
    lock_of(folder, host="elsewhere", heartbeat=time.time() - STALE_SECONDS - 5)
    assert takes(folder)


def test_a_job_that_was_started_again_elsewhere_waits_for_its_former_lock(
    folder, monkeypatch, caplog
):
    lock_of(folder, host="elsewhere", heartbeat=time.time() - STALE_SECONDS + 2)
    with pytest.raises(LockedError):
        takes(folder)
    monkeypatch.setenv("RANKLOOP_PATIENCE", "30")
    assert takes(folder)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("waiting 30 s at most: another driver")


@pytest.fixture
def beating(folder):
    """A driver on another host whose next beats come soon."""
    over = threading.Event()
    lock_of(folder, host="elsewhere")

    def beat():
        while not over.wait(1.5):
            lock_of(folder, host="elsewhere")

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_holder_that_beats_twice_is_not_waited_for(folder, beating, monkeypatch, caplog):
    monkeypatch.setenv("RANKLOOP_PATIENCE", "400")
    begun = time.monotonic()
    with pytest.raises(LockedError, match=r"on elsewhere.*ends by itself in \d+ s"):
        takes(folder)
    assert 3.0 < time.monotonic() - begun < 60.0
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("waiting 400 s at most: another driver")


@pytest.fixture
def later(folder):
    """Writes the lock of a driver on another host, by its id, in 1.5 s."""
    timers = []

    def write(holder):
        timers.append(threading.Timer(1.5, lock_of, (folder,), {"host": "elsewhere", "id": holder}))
        timers[-1].start()

    yield write
    for timer in timers:
        timer.join()


def test_a_holder_that_is_ended_after_its_last_beat_is_waited_for(folder, later, monkeypatch):
    monkeypatch.setenv("RANKLOOP_PATIENCE", "60")
    monkeypatch.setattr(locking, "STALE_SECONDS", 4.0)
    lock_of(folder, host="elsewhere", id="former")
    later("former")
    begun = time.monotonic()
    assert takes(folder)
    assert time.monotonic() - begun > 5.0


def test_another_that_took_the_lock_meanwhile_is_not_waited_for(folder, later, monkeypatch):
    monkeypatch.setenv("RANKLOOP_PATIENCE", "60")
    lock_of(folder, host="elsewhere", id="former")
    later("another")
    begun = time.monotonic()
    with pytest.raises(LockedError, match="on elsewhere"):
        takes(folder)
    assert time.monotonic() - begun < 30.0


def test_a_lock_that_is_gone_each_time_is_tried_again(monkeypatch, caplog):
    """Others remove the dead holder's lock that all saw, and with it each of ours."""
    bucket = open_folder("memory://gone/run")
    removals = iter([True] * 4)
    is_mine = locking._is_mine

    def removed(folder, mine):
        if next(removals, False):
            folder.remove(LOCK_NAME)
        return is_mine(folder, mine)

    monkeypatch.setattr(locking, "_is_mine", removed)
    with pytest.raises(LockedError, match=r"another driver took .* just now"):
        takes(bucket)
    removals = iter([True] * 4)
    monkeypatch.setenv("RANKLOOP_PATIENCE", "60")
    assert takes(bucket)
    (line,) = caplog.messages
    assert re.match(r"waiting \d+ s at most: another driver took .* just now", line)


def test_a_holder_that_is_being_ended_is_waited_for_though_it_beats(folder, beating):
    begun = time.monotonic()
    with pytest.raises(LockedError, match="on elsewhere"), locked(folder, patience=4.0):
        pass
    assert time.monotonic() - begun >= 4.0


def test_patience_is_a_number(folder, monkeypatch):
    monkeypatch.setenv("RANKLOOP_PATIENCE", "long")
    with pytest.raises(ConfigError, match="RANKLOOP_PATIENCE is 'long': give seconds"):
        takes(folder)
    monkeypatch.setenv("RANKLOOP_PATIENCE", "")
    assert takes(folder)


@pytest.mark.parametrize("length", [0, 1, 20, -3])
def test_a_half_written_lock_is_replaced(folder, length):
    lock_of(folder, host="elsewhere")
    folder.write_bytes(LOCK_NAME, folder.read_bytes(LOCK_NAME)[:length])
    assert takes(folder)


def test_the_lock_is_removed_at_the_end(folder):
    assert takes(folder)
    with pytest.raises(ZeroDivisionError), locked(folder):
        raise ZeroDivisionError
    assert not folder.has(LOCK_NAME)


def test_the_heartbeat_is_renewed(folder, monkeypatch):
    monkeypatch.setattr(locking, "HEARTBEAT_SECONDS", 0.02)
    with locked(folder):
        first = folder.read_json(LOCK_NAME)
        deadline = time.monotonic() + 10
        while folder.read_json(LOCK_NAME)["heartbeat"] == first["heartbeat"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert folder.read_json(LOCK_NAME).keys() == first.keys()


def test_a_driver_whose_lock_was_taken_over_is_interrupted_and_leaves_it(folder, monkeypatch):
    monkeypatch.setattr(locking, "HEARTBEAT_SECONDS", 0.02)

    def work():
        with locked(folder):
            # Again and again: a heartbeat under way may write over it once.
            for _ in range(100):
                lock_of(folder, host="elsewhere")
                time.sleep(0.1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert folder.read_json(LOCK_NAME)["host"] == "elsewhere"


@pytest.mark.parametrize("missing", ["flock", "link"])
def test_filesystems_without_file_locks_or_links(folder, monkeypatch, missing):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(
        *{"flock": (locking.fcntl, "flock"), "link": (os, "link")}[missing], unsupported
    )
    with locked(folder), pytest.raises(LockedError), locked(folder):
        pass
    assert takes(folder)


def test_a_full_disk_is_named(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="disk is full"):
        takes(folder)


def test_a_missed_heartbeat_is_harmless(folder, monkeypatch):
    monkeypatch.setattr(locking, "HEARTBEAT_SECONDS", 0.02)
    with locked(folder):
        shutil.rmtree(folder.path)
        Path(folder.path).write_text("in the way")
        time.sleep(0.1)
        Path(folder.path).unlink()
        deadline = time.monotonic() + 10
        while not folder.has(LOCK_NAME):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_only_one_of_several_takes_over(folder, monkeypatch):
    """Slow ones must not act on what they saw before a fast one took over."""
    lock_of(folder, host="elsewhere", heartbeat=0.0)
    alive = locking._alive
    delays = iter([0.1, 0.3, 0.5, 0.7])

    def slowly(holder):
        found = alive(holder)
        time.sleep(0.0 if found else next(delays))
        return found

    monkeypatch.setattr(locking, "_alive", slowly)
    tried = threading.Barrier(4)

    def attempt(_):
        try:
            with locked(folder):
                tried.wait(timeout=30)
                return "held"
        except LockedError:
            tried.wait(timeout=30)
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == ["held", "refused", "refused", "refused"]


@pytest.mark.integration
def test_in_a_bucket_too(s3_folder):
    bucket = open_folder(s3_folder)
    with locked(bucket):
        assert json.loads(bucket.read_bytes(LOCK_NAME))["pid"] == os.getpid()
        with pytest.raises(LockedError), locked(bucket):
            pass
    assert bucket.names() == []
