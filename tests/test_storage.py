import errno
import os
import uuid
from pathlib import Path

import pytest

from rankloop.errors import StorageError
from rankloop.storage import open_folder


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.integration)])
def folder(request, tmp_path):
    if request.param == "local":
        return open_folder(str(tmp_path / "results"))
    if request.param == "s3":
        return open_folder(request.getfixturevalue("s3_folder"))
    return open_folder(f"memory://{uuid.uuid4().hex}/results")


def test_what_is_written_is_read_back(folder):
    folder.write_bytes("a.bin", b"\x00\xff" * 100)
    folder.write_json("b.json", {"x": [1, None, "é"]})
    assert folder.read_bytes("a.bin") == b"\x00\xff" * 100
    assert folder.read_json("b.json") == {"x": [1, None, "é"]}


def test_names_has_exists_and_remove(folder):
    assert not folder.exists()
    assert folder.names() == []
    folder.write_bytes("b", b"1")
    folder.write_bytes("a", b"2")
    (folder / "inner").write_bytes("deep", b"3")
    assert folder.exists()
    assert folder.names() == ["a", "b", "inner"]
    assert folder.has("a")
    assert not folder.has("inner")
    assert not folder.has("c")
    folder.remove("a")
    folder.remove("inner")
    folder.remove("never there")
    assert folder.names() == ["b"]


def test_writing_again_replaces(folder):
    folder.write_bytes("a", b"long content")
    folder.write_bytes("a", b"short")
    assert folder.read_bytes("a") == b"short"


def test_missing_and_malformed_files_are_storage_errors(folder):
    with pytest.raises(StorageError, match=r"cannot read .*missing"):
        folder.read_bytes("missing")
    folder.write_bytes("half.json", b'{"a": ')
    with pytest.raises(StorageError, match=r"half\.json is not JSON"):
        folder.read_json("half.json")


def test_nan_is_not_written_as_json(folder):
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json("a.json", {"loss": float("nan")})
    assert not folder.has("a.json")


def test_folders_are_fetched_whole(folder, tmp_path):
    (folder / "sent").write_bytes("a", b"1")
    (folder / "sent" / "inner").write_bytes("b", b"2")
    copy = (folder / "sent").fetch(tmp_path / "copy")
    assert (copy / "a").read_bytes() == b"1"
    assert (copy / "inner" / "b").read_bytes() == b"2"


def test_a_crash_before_the_new_file_is_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    folder = open_folder(str(tmp_path))
    folder.write_bytes("a", b"old")

    def crash(source, target):
        assert Path(source).read_bytes() == b"new"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        folder.write_bytes("a", b"new")
    assert folder.read_bytes("a") == b"old"
    assert folder.names() == ["a"]


def test_the_file_is_on_the_disk_before_it_is_in_place(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("replace"), replace(*names)))
    open_folder(str(tmp_path)).write_bytes("a", b"1")
    assert order == ["fsync", "replace"]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
    ],
)
def test_errors_of_the_disk_say_what_to_do(tmp_path, monkeypatch, number, says):
    folder = open_folder(str(tmp_path))
    folder.write_bytes("a", b"old")

    def fail(file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=says) as caught:
        folder.write_bytes("a", b"new")
    assert f"{tmp_path}/a" in str(caught.value)
    assert folder.read_bytes("a") == b"old"
    assert folder.names() == ["a"]


def test_a_scheme_that_nothing_opens_is_refused():
    with pytest.raises(StorageError, match=r"nosuch://bucket/x.*s3://"):
        open_folder("nosuch://bucket/x")


def test_local_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = open_folder("results/a/")
    assert folder.path == f"{tmp_path}/results/a"
    assert folder.name == "a"
    assert folder.is_local
    assert open_folder(f"file://{tmp_path}") == open_folder(str(tmp_path))


def test_a_uri_keeps_host_and_options_and_loses_its_password():
    location = "s3://key:secret@bucket/results/?endpoint_override=127.0.0.1:9000&scheme=http"
    run = open_folder(location) / "train" / "a"
    assert str(run) == ("s3://bucket/results/train/a?endpoint_override=127.0.0.1:9000&scheme=http")
    assert (run.path, run.name, run.is_local) == ("bucket/results/train/a", "a", False)


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("abfs://photos@account.dfs.core.windows.net/a", None),
        ("abfs://photos:c2VjcmV0@account.dfs.core.windows.net/a", "abfs://photos@account.dfs.core"),
        ("s3://key:secret@bucket/a%402x?region=us-east-1", "s3://bucket/a%402x?region=us-east-1"),
    ],
)
def test_what_is_shown_opens_the_same_place(location, shown):
    folder = open_folder(location)
    assert folder.uri.startswith(shown or location)
    assert open_folder(folder.uri).path == folder.path
    assert "secret" not in folder.uri


def test_a_path_that_may_be_a_part_of_the_password_is_refused():
    with pytest.raises(StorageError, match="write %40 for each @") as caught:
        open_folder("s3://key:sec@ret/et@bucket/a?region=us-east-1")
    assert not [part for part in ("sec@", "ret/") if part in str(caught.value)]
