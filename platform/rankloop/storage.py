"""Folders on a local disk or in a bucket, behind one small interface."""

import errno
import io
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rankloop.errors import DamagedFileError, MissingFileError, StorageError
from rankloop.filesystems import PYARROW_SCHEMES, join_uri, open_uri, patiently
from rankloop.parquet import read_within
from rankloop.redaction import without_passwords

_T = TypeVar("_T")
_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space, then run the same command again",
    errno.EDQUOT: "the disk quota is used up: free some space, then run the same command again",
    errno.EACCES: "no permission: give a folder that you may write to",
    errno.EPERM: "no permission: give a folder that you may write to",
    errno.EROFS: "the disk is read-only: give another folder",
    errno.ENOENT: "there can be no folder: give another folder",
    errno.ENOTDIR: "a part of that path is a file: give another folder",
    errno.EEXIST: "a part of that path is a file: give another folder",
}


@dataclass(frozen=True)
class Folder:
    """A folder: files are written whole or not at all.

    Attributes:
        filesystem: where it is; any pyarrow filesystem (local, S3, GCS, HDFS, or fsspec's).
        path: its path within the filesystem, absolute on a local disk.
        uri: what opens it again, without user and password; a local folder's path.
        patient: whether calls wait for a bucket that is away for the moment.
    """

    filesystem: pafs.FileSystem
    path: str
    uri: str
    patient: bool = True

    def __truediv__(self, name: str) -> "Folder":
        return replace(self, path=f"{self.path}/{name}", uri=join_uri(self.uri, name))

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_local(self) -> bool:
        """Whether ordinary file functions reach it on this machine."""
        return "://" not in self.uri

    @property
    def impatient(self) -> "Folder":
        """The same folder, whose calls fail at once where they cannot be answered now."""
        return replace(self, patient=False)

    def _do(self, action: str, call: Callable[[], _T]) -> _T:
        """Call something; in a bucket that is away for a while, again until it is back."""
        with explained(action):
            return call() if self.is_local or not self.patient else patiently(action, call)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file so that a reader sees all of it or none, also after a power cut.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """

        def write() -> None:
            self.filesystem.create_dir(self.path, recursive=True)
            if not self.is_local:
                # Object stores show an object only once it is complete.
                with self.filesystem.open_output_stream(f"{self.path}/{name}") as stream:
                    stream.write(data)
                return
            beside = Path(self.path) / f".{name}.{uuid.uuid4().hex}"
            try:
                with open(beside, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(beside, Path(self.path) / name)
            finally:
                beside.unlink(missing_ok=True)

        self._do(f"write {self}/{name}", write)

    def read_bytes(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            MissingFileError: there is no such file.
            StorageError: it cannot be read.
        """

        def read() -> bytes:
            with self.filesystem.open_input_stream(
                f"{self.path}/{name}", compression=None
            ) as stream:
                return bytes(stream.read())

        return self._do(f"read {self}/{name}", read)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as indented JSON; NaN and infinity are refused by raising ValueError."""
        self.write_bytes(name, json.dumps(value, indent=2, allow_nan=False).encode() + b"\n")

    def read_json(self, name: str) -> Any:
        """Return the value of a JSON file.

        Raises:
            MissingFileError: there is no such file.
            DamagedFileError: it is not JSON.
            StorageError: it cannot be read.
        """
        try:
            return json.loads(self.read_bytes(name))
        # Brackets in brackets end in RecursionError.
        except (ValueError, RecursionError) as error:
            raise DamagedFileError(f"{self}/{name} is not JSON: {error}") from error

    def has(self, name: str) -> bool:
        """Return whether a file of that name exists."""
        path = f"{self.path}/{name}"
        info = self._do(f"look for {self}/{name}", lambda: self.filesystem.get_file_info(path))
        return bool(info.type == pafs.FileType.File)

    def exists(self) -> bool:
        """Return whether the folder exists (in a bucket: holds anything)."""
        info = self._do(f"look for {self}", lambda: self.filesystem.get_file_info(self.path))
        return bool(info.type == pafs.FileType.Directory)

    def names(self) -> list[str]:
        """Return the names of all files and folders in it, sorted; empty when it does not exist."""
        selector = pafs.FileSelector(self.path, allow_not_found=True)
        found = self._do(f"list {self}", lambda: self.filesystem.get_file_info(selector))
        return sorted(info.base_name for info in found)

    def remove(self, name: str) -> None:
        """Remove a file or folder in it, if it is there."""
        path = f"{self.path}/{name}"

        def remove() -> None:
            kind = self.filesystem.get_file_info(path).type
            if kind == pafs.FileType.Directory:
                self.filesystem.delete_dir(path)
            elif kind == pafs.FileType.File:
                self.filesystem.delete_file(path)

        self._do(f"remove {self}/{name}", remove)

    def fetch(self, destination: Path) -> Path:
        """Copy the folder with all that is in it to a new local folder, and return that.

        Objects whose names would lead out of that as names of files are left out.

        Raises:
            StorageError: it cannot be read or written.
        """
        selector = pafs.FileSelector(self.path, recursive=True)
        found = self._do(f"list {self}", lambda: self.filesystem.get_file_info(selector))
        names = [i.path[len(self.path) + 1 :] for i in found if i.type == pafs.FileType.File]
        with explained(f"copy {self}"):
            destination.mkdir(parents=True, exist_ok=True)
            for name in names:
                if not {"", ".", ".."} & set(name.split("/")):
                    (destination / name).parent.mkdir(parents=True, exist_ok=True)
                    (destination / name).write_bytes(self.read_bytes(name))
        return destination


def open_folder(location: str) -> Folder:
    """Return the folder at a local path or at any URI that pyarrow or fsspec knows.

    Args:
        location: ``results``, ``/data/results``, ``s3://bucket/results``, ``gs://…``, ``hdfs://…``.

    Raises:
        StorageError: nothing here can open that URI.
    """
    if "://" not in location:
        path = str(Path(location).expanduser().absolute())
        return Folder(pafs.LocalFileSystem(), path, path)
    try:
        filesystem, path = open_uri(location)
    except (ImportError, ValueError, OSError) as error:
        remedy = (
            "check the name, the credentials and the network"
            if location.partition("://")[0] in PYARROW_SCHEMES
            else "give a local folder or a URI such as s3://bucket/folder (other schemes need "
            "their fsspec package installed)"
        )
        raise StorageError(
            f"cannot open {without_passwords(location)!r}: {error}; {remedy}"
        ) from error
    if isinstance(filesystem, pafs.LocalFileSystem):
        return Folder(filesystem, path, path)
    uri = without_passwords(location)
    if _path_of(uri) != _path_of(location):
        raise StorageError(
            f"cannot tell the password of {uri!r} from its path: write %40 for each @ of either, "
            "and %2F for each / of the password"
        )
    return Folder(filesystem, path, uri)


def _path_of(uri: str) -> str:
    """What follows the host, or the bucket."""
    return uri.partition("?")[0].partition("://")[2].partition("/")[2]


def refuse_unwritable(location: str) -> None:
    """Refuse a folder that cannot be written to, before any work is done for it.

    Raises:
        StorageError: nothing can open that URI, or there is a file or no permission in the way.
    """
    folder = open_folder(location)
    if not folder.is_local:
        return
    nearest = Path(folder.path)
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise StorageError(f"cannot write to {folder}: {_REMEDIES[errno.ENOTDIR]}")
    if not os.access(nearest, os.W_OK):
        raise StorageError(f"cannot write to {folder}: {_REMEDIES[errno.EACCES]}")


def write_parquet(folder: Folder, name: str, table: pa.Table) -> None:
    """Write a table so that a reader sees all of it or none."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    folder.write_bytes(name, buffer.getvalue())


def read_parquet(folder: Folder, name: str) -> pa.Table:
    """Return the table of a Parquet file.

    Raises:
        MissingFileError: there is no such file.
        DamagedFileError: it is not Parquet, too large for one of ours, or holds more than plain
            values.
        StorageError: it cannot be read.
    """
    data = folder.read_bytes(name)
    try:
        return read_within(data)
    # Of a damaged file also OSError and OverflowError.
    except (ValueError, OverflowError, OSError, pa.ArrowException) as error:
        raise DamagedFileError(f"{folder / name} is not Parquet of ours: {error}") from error


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn operating system errors of the block into ours, with a remedy.

    Args:
        action: what the block does, as in "write results/a.json".

    Raises:
        MissingFileError: the block raised FileNotFoundError.
        StorageError: the block raised another OSError.
    """
    try:
        yield
    except FileNotFoundError as error:
        why = remedy(error) if action.startswith("write") else "it does not exist"
        raise MissingFileError(f"cannot {action}: {why}") from error
    except OSError as error:
        raise StorageError(f"cannot {action}: {remedy(error) or error}") from error


def remedy(error: BaseException) -> str | None:
    """Say what to do about an error that comes from a full or closed disk; None for any other.

    Args:
        error: such an error, or one that was raised because of one.
    """
    number = error.errno if isinstance(error, OSError) else None
    cause = error.__cause__ or error.__context__
    return _REMEDIES.get(number or 0) or (remedy(cause) if cause else None)
