"""One driver at a time in a result folder, on a local disk or in a bucket."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from rankloop.errors import LockedError, StorageError
from rankloop.storage import Folder

LOCK_NAME = "lock.json"
HEARTBEAT_SECONDS = 30.0
# A driver on another host counts as dead once its heartbeat is older than this.
STALE_SECONDS = 300.0


@contextmanager
def locked(folder: Folder) -> Iterator[None]:
    """Hold the folder for this process while the block runs.

    A lock left by a dead process (same host: the process is gone or the machine has booted since;
    other host: no heartbeat for STALE_SECONDS) is taken over.

    Raises:
        LockedError: another live driver holds it.
    """
    mine = {**_identity(), "heartbeat": time.time()}
    with _alone(folder):
        _acquire(folder, mine)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(folder, mine, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        folder.remove(LOCK_NAME)


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
    Path(folder.path).mkdir(parents=True, exist_ok=True)
    directory = os.open(folder.path, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _acquire(folder: Folder, mine: dict[str, Any]) -> None:
    for _ in range(3):
        if _create(folder, mine):
            return
        try:
            holder = folder.read_json(LOCK_NAME)
        except StorageError:
            # Gone since, or cut in half by a crash: nobody alive writes half a lock.
            folder.remove(LOCK_NAME)
            continue
        if _alive(holder):
            raise LockedError(
                f"another driver (process {holder['pid']} on {holder['host']}) is at work in "
                f"{folder}: wait for it, stop it, or give another --storage"
            )
        folder.remove(LOCK_NAME)
    raise LockedError(f"another driver took {folder} just now: wait for it or stop it")


def _create(folder: Folder, mine: dict[str, Any]) -> bool:
    data = json.dumps(mine).encode()
    if folder.is_local:
        beside = Path(folder.path) / f".{LOCK_NAME}.{os.getpid()}.{threading.get_ident()}"
        beside.write_bytes(data)
        try:
            # A link appears whole and only where there is none: no half-written lock, no race.
            os.link(beside, Path(folder.path) / LOCK_NAME)
        except FileExistsError:
            return False
        finally:
            beside.unlink()
        return True
    # Buckets have no exclusive create that every filesystem offers: write, then look who was last.
    if folder.has(LOCK_NAME):
        return False
    folder.write_bytes(LOCK_NAME, data)
    time.sleep(1.0)
    return bool(folder.read_json(LOCK_NAME) == mine)


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
            folder.write_json(LOCK_NAME, {**mine, "heartbeat": time.time()})
        except StorageError:
            # A missed beat is harmless; the next one may find the storage again.
            continue
