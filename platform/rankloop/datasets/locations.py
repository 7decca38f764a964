"""Where files are: paths and URIs joined, listed and looked for, local or behind a URI."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

import pyarrow.fs as pafs

from rankloop.errors import DataError
from rankloop.filesystems import join_uri, open_uri, patiently
from rankloop.images import read_bytes
from rankloop.redaction import without_passwords

_THREADS = 16
_LOCAL_SCHEMES = ("file", "local")


def absolute(location: str) -> str:
    """Return a URI unchanged, and a local path absolute, so that it means the same to a worker.

    A URI of a local path becomes that path: only of paths it is known where links lead.

    Raises:
        DataError: such a URI names nothing.
    """
    if location.partition("://")[0] in _LOCAL_SCHEMES:
        try:
            location = open_uri(location)[1]
        except (OSError, ValueError) as error:
            raise DataError(f"cannot open {location}: {error}; check the path") from error
    return location if "://" in location else os.path.abspath(Path(location).expanduser())


def parent(location: str) -> str:
    """Return the folder that a file is in."""
    if "://" not in location:
        return os.path.dirname(location)
    start, mark, options = location.partition("?")
    return f"{start.rpartition('/')[0]}{mark}{options}"


def join(folder: str, name: str) -> str:
    """Return the location of a name of ours, or that a listing gave, relative to a folder."""
    if "://" in folder:
        return join_uri(folder, name)
    return os.path.normpath(os.path.join(folder, name))


def inside(folder: str, name: str) -> str | None:
    """Return the location of a name that somebody's list gives, or None if it leaves the folder.

    Args:
        folder: absolute local path or URI; ``/`` holds every local file.
        name: relative to it, or absolute below it; with a password, it is none.
    """
    if "://" in folder:
        return _inside_uri(folder, name)
    if "://" in name or "\0" in name:
        return None
    path = os.path.normpath(os.path.join(folder, name))
    if os.path.commonpath([folder, path]) != folder:
        return None
    # A link among the images may lead anywhere, too.
    real = os.path.join(_real_folder(os.path.dirname(path)), os.path.basename(path))
    real = os.path.realpath(real) if os.path.islink(path) else real
    root = _real_folder(folder)
    return path if os.path.commonpath([root, real]) == root else None


@lru_cache(maxsize=4096)
def _real_folder(path: str) -> str:
    return os.path.realpath(path)


def _inside_uri(folder: str, name: str) -> str | None:
    # Names of images are shown and written everywhere: none may hold a password.
    if without_passwords(name) != name:
        return None
    start = without_passwords(f"{folder.partition('?')[0].rstrip('/')}/")
    relative = unquote(name.removeprefix(start)) if name.startswith(start) else name
    decoded = _decoded(relative)
    # fsspec takes "::" for a file system within another.
    leaves = ".." in re.split(r"[/\\]", decoded) or any(mark in decoded for mark in ("::", "://"))
    return None if leaves or decoded.startswith("/") else join_uri(folder, relative)


def _decoded(name: str) -> str:
    # Servers may decode a name once more than they should.
    while (plain := unquote(name)) != name:
        name = plain
    return name


def list_files(folder: str) -> list[str]:
    """Return the paths of all files in a tree relative to its root, sorted, ``/`` between parts.

    Names that begin with a dot are left out, and links to folders are not followed.

    Args:
        folder: absolute local path or URI.

    Raises:
        DataError: the folder is missing, is a file, or cannot be listed.
    """
    try:
        if "://" in folder:
            found = patiently(f"list {folder}", lambda: _list_remote(folder))
        else:
            found = _list_local(folder)
    except (OSError, ImportError, ValueError) as error:
        raise DataError(
            f"cannot list the folder {folder}: {error}; check the path and that it may be read"
        ) from error
    return sorted(name for name in found if not any(p.startswith(".") for p in name.split("/")))


def _list_local(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        what = "is a file, not a folder" if os.path.exists(folder) else "does not exist"
        # A submitted job runs in a copy of the directory that it was submitted from.
        raise DataError(
            f"the folder {folder} {what}: give an existing folder, and in a submitted job a whole "
            "path that its node can read"
        )
    return [
        os.path.relpath(os.path.join(root, file), folder).replace(os.sep, "/")
        for root, _, files in os.walk(folder, onerror=_refuse)
        for file in files
    ]


def _refuse(error: OSError) -> None:
    raise error


def _list_remote(folder: str) -> list[str]:
    filesystem, root = open_uri(folder)
    if filesystem.get_file_info(root).type != pafs.FileType.Directory:
        raise DataError(f"the folder {folder} does not exist: give an existing folder")
    found = filesystem.get_file_info(pafs.FileSelector(root, recursive=True))
    return [info.path[len(root) :].lstrip("/") for info in found if info.type == pafs.FileType.File]


def exist(locations: Sequence[str | None]) -> list[bool]:
    """Return for each location whether a file is there, asking in parallel; for None it is not."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_exists, locations))


def _exists(location: str | None) -> bool:
    if location is None:
        return False
    try:
        if "://" not in location:
            return os.path.isfile(location)
        filesystem, path = open_uri(location)
        info = patiently(f"look for {location}", lambda: filesystem.get_file_info(path))
        return bool(info.type == pafs.FileType.File)
    except (OSError, ImportError, ValueError) as error:
        raise DataError(f"cannot look for {location}: {error}; check the path") from error


def read_text(location: str) -> str:
    """Return a text file's content.

    Raises:
        DataError: missing, unreadable or not UTF-8.
    """
    if "://" not in location and not os.path.isfile(location):
        raise DataError(f"the file {location} does not exist: give an existing file")
    try:
        # Spreadsheets write a byte-order mark before the first column's name.
        return read_bytes(location).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{location} is not UTF-8 text ({error}): save it as UTF-8") from error
