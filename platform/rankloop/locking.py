"""One driver at a time in a result folder, on a local disk or in a bucket."""

import errno
import fcntl
import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from rankloop.errors import (
    ConfigError,
    DamagedFileError,
    LockedError,
    MissingFileError,
    StorageError,
)
from rankloop.filesystems import patiently
from rankloop.storage import Folder, explained

LOCK_NAME = "lock.json"
HEARTBEAT_SECONDS = 30.0
# A driver on another host counts as dead once its heartbeat is older than this.
STALE_SECONDS = 300.0
# Seconds that a holder is waited for that beats once at most: set where a lost job is started again
# by itself, on another host, before its former lock has ended.
PATIENCE_VARIABLE = "RANKLOOP_PATIENCE"
_SECONDS_BETWEEN_TRIES = 1.0
# What filesystems answer that lack file locks or hard links (NFS without lockd, FUSE, SMB).
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
_log = logging.getLogger("rankloop")


@contextmanager
def locked(folder: Folder, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the folder for this process while the block runs.

    A lock left by a dead process (same host: the process is gone or the machine has booted since;
    other host: no heartbeat for STALE_SECONDS) is taken over. A process that finds its own lock
    taken over, because it could not write heartbeats for so long, is interrupted.

    Args:
        folder: to hold.
        patience: seconds to wait for a holder whatever it does: one that is being ended, say, may
            beat once more. RANKLOOP_PATIENCE, if that is more, is for one that beats once at most:
            who beats twice, within 90 s, is alive.

    Raises:
        LockedError: another live driver holds it.
        ConfigError: RANKLOOP_PATIENCE is no number.
    """
    # A lock that is written, or a beat that is sent, minutes after it was looked at could undo
    # another driver's.
    folder = folder.impatient
    mine = {**_identity(), "id": uuid.uuid4().hex}
    _hold(folder, mine, patience, _given_patience())
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(folder, mine, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        # Storage that cannot be reached may be what ended the block.
        with suppress(StorageError):
            if _is_mine(folder, mine):
                folder.remove(LOCK_NAME)


def _given_patience() -> float:
    # Empty is how some tools leave a variable out.
    given = os.environ.get(PATIENCE_VARIABLE) or "0"
    if not given.isdecimal():
        raise ConfigError(f"{PATIENCE_VARIABLE} is {given!r}: give seconds, such as 400")
    return float(given)


def _hold(folder: Folder, mine: dict[str, Any], patience: float, for_silent: float) -> None:
    begun = time.monotonic()
    seen: dict[str, Any] | None = None
    signs = 0
    while True:
        with explained(f"lock {folder}"):
            holder = patiently(f"lock {folder}", lambda: _acquire(folder, mine))
        if holder is None:
            return
        if seen and holder and holder != seen:
            # One beat may be the last of a driver that is being ended. Who beats twice, or took
            # the lock meanwhile, lives and will not go away soon.
            signs += 1 if holder.get("id") == seen.get("id") else 2
        left = max(patience, for_silent if signs < 2 else 0.0) - (time.monotonic() - begun)
        error = _refusal(folder, holder)
        if left <= 0.0:
            raise error
        if seen is None:
            _log.warning("waiting %.0f s at most: %s", left, error)
        seen = holder
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _refusal(folder: Folder, holder: dict[str, Any]) -> LockedError:
    if not holder:
        return LockedError(f"another driver took {folder} just now: wait for it or stop it")
    return LockedError(
        f"another driver (process {holder['pid']} on {holder['host']}) is at work in {folder}: "
        f"wait for it, stop it, or give another --storage{_until_stale(holder)}"
    )


def _identity() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "boot": psutil.boot_time(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
    }


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    # Between looking at a dead holder's lock and removing it, another could have taken over.
    if not folder.is_local:
        yield
        return
    with explained(f"write to {folder}"):
        Path(folder.path).mkdir(parents=True, exist_ok=True)
        # A file opened for writing, since NFS locks nothing else.
        file = os.open(f"{folder.path}/.{LOCK_NAME}.guard", os.O_RDWR | os.O_CREAT)
    try:
        with explained(f"lock {folder}"):
            flock(file)
        yield
    finally:
        os.close(file)


def flock(file: int, operation: int = fcntl.LOCK_EX) -> None:
    """Lock an open file where its filesystem can; where it cannot, do nothing."""
    try:
        fcntl.flock(file, operation)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _acquire(folder: Folder, mine: dict[str, Any]) -> dict[str, Any] | None:
    with _alone(folder):
        return _take(folder, {**mine, "heartbeat": time.time()})


def _take(folder: Folder, mine: dict[str, Any]) -> dict[str, Any] | None:
    """Return the live driver that holds the folder; None if it is this one now.

    Empty where the lock was another's, or gone, each time that this one was about to have it.
    """
    for _ in range(3):
        if _create(folder, mine):
            return None
        try:
            holder: dict[str, Any] = folder.read_json(LOCK_NAME)
        except (MissingFileError, DamagedFileError):
            # Gone since, or cut in half by a crash: nobody alive writes half a lock.
            folder.remove(LOCK_NAME)
            continue
        if holder.get("id") == mine["id"]:
            # Of a try before this one, whose answer was lost on its way.
            if _write_last(folder, mine):
                return None
            continue
        if _alive(holder):
            return holder
        folder.remove(LOCK_NAME)
    return {}


def _create(folder: Folder, mine: dict[str, Any]) -> bool:
    if folder.is_local:
        with explained(f"lock {folder}"):
            return _create_file(Path(folder.path), json.dumps(mine).encode())
    # Buckets have no exclusive create that every filesystem offers: write, then look who was last.
    return not folder.has(LOCK_NAME) and _write_last(folder, mine)


def _write_last(folder: Folder, mine: dict[str, Any]) -> bool:
    folder.write_json(LOCK_NAME, mine)
    time.sleep(1.0)
    return _is_mine(folder, mine)


def _create_file(folder: Path, data: bytes) -> bool:
    beside = folder / f".{LOCK_NAME}.{os.getpid()}.{threading.get_ident()}"
    try:
        beside.write_bytes(data)
        # A link appears whole and only where there is none: no half-written lock, no race.
        try:
            os.link(beside, folder / LOCK_NAME)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            with open(folder / LOCK_NAME, "xb") as file:
                file.write(data)
        return True
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)


def _is_mine(folder: Folder, mine: dict[str, Any]) -> bool:
    try:
        holder = folder.read_json(LOCK_NAME)
    except (MissingFileError, DamagedFileError):
        return False
    return bool(holder.get("id") == mine["id"])


def _until_stale(holder: dict[str, Any]) -> str:
    if holder["host"] == socket.gethostname():
        return ""
    left = max(0.0, float(holder["heartbeat"]) + STALE_SECONDS - time.time())
    return f" (if that host is gone, its lock ends by itself in {left:.0f} s)"


def _alive(holder: dict[str, Any]) -> bool:
    me = _identity()
    if holder["host"] != me["host"]:
        return time.time() - float(holder["heartbeat"]) < STALE_SECONDS
    if abs(holder["boot"] - me["boot"]) > 5.0:
        return False
    try:
        process = psutil.Process(holder["pid"])
        return (
            abs(process.create_time() - holder["started"]) < 1.0
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


def _beat(folder: Folder, mine: dict[str, Any], stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        try:
            if folder.has(LOCK_NAME) and not _is_mine(folder, mine):
                _log.error("another driver took over %s while this one was cut off from it", folder)
                os.kill(os.getpid(), signal.SIGINT)
                return
            folder.write_json(LOCK_NAME, {**mine, "heartbeat": time.time()})
        except StorageError:
            # A missed beat is harmless; the next one may find the storage again.
            continue
