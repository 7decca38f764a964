"""Storage that answers errors for a while costs time; nothing is taken for missing or corrupt."""

import logging
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch

from rankloop import filesystems, locking
from rankloop.datasets.locations import list_files
from rankloop.errors import ImageError, LockedError, MissingFileError, StorageError
from rankloop.filesystems import join_uri
from rankloop.images import read_bytes
from rankloop.locking import LOCK_NAME, locked
from rankloop.storage import Folder, open_folder
from rankloop.training.checkpoints import Checkpoint, load_latest, save_checkpoint, step_name

SERVER = Path(__file__).parent / "integration" / "s3_store.py"


class Store:
    """A server that speaks S3, and answers errors as long as `away` exists."""

    def __init__(self, folder, port):
        self.away = folder / "away"
        self.address = f"127.0.0.1:{port}"
        self.uri = (
            f"s3://key:secret@bucket/photos?endpoint_override={self.address}"
            "&scheme=http&region=us-east-1"
        )
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), "127.0.0.1", str(port), str(self.away)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )

    def make_bucket(self):
        request = urllib.request.Request(f"http://{self.address}/bucket", method="PUT")
        for _ in range(300):
            try:
                urllib.request.urlopen(request, timeout=10)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        pytest.fail("the S3 server did not come up")

    def back_in(self, seconds):
        self.away.touch()
        threading.Timer(seconds, self.away.unlink).start()


@pytest.fixture(scope="module")
def store(tmp_path_factory, free_port):
    store = Store(tmp_path_factory.mktemp("store"), free_port())
    store.make_bucket()
    yield store
    store.process.kill()
    store.process.wait()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(filesystems, "PATIENCE_SECONDS", 0.0)


def checkpoint(step):
    config = {"method": "x", "config": {}, "seed": 1}
    return Checkpoint(step, {"w": torch.full((2,), float(step))}, {}, config, {})


def test_the_newest_checkpoint_is_waited_for_and_never_passed_over(store, caplog):
    parent = open_folder(store.uri) / "checkpoints"
    for step in (1, 2):
        save_checkpoint(parent, step_name(step), checkpoint(step))
    # pyarrow itself gives up after some 6 s.
    store.back_in(8)
    with caplog.at_level(logging.WARNING):
        found = load_latest(parent)
    assert found is not None
    assert found.step == 2
    assert "trying again" in caplog.text
    assert "secret" not in caplog.text


def test_storage_that_stays_away_is_no_damage(store, impatient):
    parent = open_folder(store.uri) / "others"
    save_checkpoint(parent, step_name(1), checkpoint(1))
    store.away.touch()
    try:
        with pytest.raises(StorageError) as refused:
            load_latest(parent)
        assert not isinstance(refused.value, MissingFileError)
        with pytest.raises(StorageError):
            parent.has("x")
    finally:
        store.away.unlink()
    with pytest.raises(MissingFileError, match="x: it does not exist"):
        parent.read_bytes("x")


def test_an_image_is_not_skipped_because_its_storage_is_away(store, monkeypatch):
    folder = open_folder(store.uri)
    folder.write_bytes("a.png", b"content")
    image = join_uri(store.uri, "a.png")
    store.back_in(8)
    assert read_bytes(image) == b"content"
    assert "a.png" in list_files(store.uri)
    monkeypatch.setattr(filesystems, "PATIENCE_SECONDS", 0.0)
    store.away.touch()
    try:
        with pytest.raises(StorageError, match="run the same command again"):
            read_bytes(image)
    finally:
        store.away.unlink()
    with pytest.raises(ImageError, match="does not exist"):
        read_bytes(join_uri(store.uri, "b.png"))


def test_what_will_be_the_same_the_next_time_is_said_at_once(store):
    other = store.uri.replace("@bucket/", "@nowhere/")
    started = time.monotonic()
    with pytest.raises(StorageError, match="not found"):
        open_folder(other).write_bytes("a", b"")
    assert time.monotonic() - started < 5


def test_a_folder_is_locked_when_its_storage_is_back(store):
    folder = open_folder(store.uri) / "patient"
    store.back_in(8)
    with locked(folder):
        assert folder.has(LOCK_NAME)
    assert not folder.has(LOCK_NAME)


def test_a_lock_whose_answer_was_lost_is_this_drivers_own(store, monkeypatch, caplog):
    folder = open_folder(store.uri) / "answer-lost"
    write = Folder.write_bytes

    def write_then_vanish(self, name, data):
        write(self, name, data)
        monkeypatch.setattr(Folder, "write_bytes", write)
        store.away.touch()

    def return_once_missed():
        while "trying again" not in caplog.text:
            time.sleep(0.1)
        store.away.unlink()

    monkeypatch.setattr(Folder, "write_bytes", write_then_vanish)
    threading.Thread(target=return_once_missed, daemon=True).start()
    with locked(folder):
        assert "trying again" in caplog.text
        with pytest.raises(LockedError), locked(folder):
            pass
        assert folder.has(LOCK_NAME)
    assert not folder.has(LOCK_NAME)


def test_a_lock_does_not_wait_for_storage_that_is_away(store, monkeypatch, caplog):
    """A beat or an end that waited could undo what another driver did meanwhile."""
    monkeypatch.setattr(locking, "HEARTBEAT_SECONDS", 0.2)
    folder = open_folder(store.uri) / "locked"
    try:
        with locked(folder):
            store.away.touch()
            time.sleep(1.0)
            begun = time.monotonic()
    finally:
        store.away.unlink()
    # pyarrow itself tries for some 6 s, once for the beat and once for the end.
    assert time.monotonic() - begun < 30
    assert "trying again" not in caplog.text


def test_a_folder_that_cannot_be_locked_is_named(store, impatient):
    folder = open_folder(store.uri) / "unlocked"
    store.away.touch()
    try:
        with pytest.raises(StorageError, match="cannot lock s3://bucket"), locked(folder):
            pass
    finally:
        store.away.unlink()
