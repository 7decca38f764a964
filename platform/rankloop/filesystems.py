"""Any URI that pyarrow or fsspec knows, through one interface."""

import logging
import re
import socket
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_exponential,
)

from rankloop.redaction import without_passwords
from rankloop.shown import first_line

# pyarrow's own clients; it knows best what is wrong with one of their URIs.
PYARROW_SCHEMES = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")
# Reads that a process may have under way at once.
CONNECTIONS = 64
# Storage that is away for longer ends a job, which goes on when it is started again.
PATIENCE_SECONDS = 300.0
_LONGEST_WAIT = 30.0
# A pod's name server may need a moment, but mostly the name of the host is wrong.
_UNRESOLVED_SECONDS = 30.0
# What object stores answer while they are away or have too much to do; pyarrow has no classes for
# these, and all else (no permission, no bucket, a wrong key) would be the same the next time.
_AWAY = re.compile(
    # S3
    r"HTTP status (429|5(?!01)\d\d)|NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE"
    r"|INTERNAL_FAILURE|REQUEST_TIMEOUT|THROTTLING|curlCode: (7|28|35|52|55|56)\b"
    r"|Connection reset|timed out"
    # Google
    r"|cloud::Status\((UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED)\b"
    # Azure
    r"|Azure Error: \[(ServerBusy|InternalError|OperationTimedOut)\]"
    r"|Azure Error: \[\w*\] (429|5(?!01)\d\d) |Azure Error: \[\w*\] Fail to get a new connection"
)
_UNRESOLVED = re.compile(
    r"curlCode: 6\b|CURL error \[6\]|Could not resolve host|Couldn't resolve host"
)
# Of aiohttp, by which fsspec reads http; neither is an OSError.
_CUT_OFF = ("ServerDisconnectedError", "ClientPayloadError")
_log = logging.getLogger("rankloop")
_T = TypeVar("_T")


def open_uri(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a URI and the path in it.

    Connections are kept: URIs that differ in their path alone share one.

    Args:
        uri: ``s3://bucket/folder/a.jpg?region=us-east-1``, ``gs://…``, ``memory://…``; options of
            the file system follow a ``?``.

    Raises:
        OSError, ValueError, ImportError: nothing here can open it, or it names nothing.
    """
    scheme, _, rest = uri.partition("://")
    if scheme not in (*PYARROW_SCHEMES, "file"):
        handler, path = fsspec.core.url_to_fs(uri)
        return pafs.PyFileSystem(_Handler(handler)), str(path).rstrip("/")
    place, mark, options = rest.partition("?")
    host, _, path = place.partition("/")
    if scheme == "file":
        return pafs.LocalFileSystem(), unquote(f"/{path}").rstrip("/") or "/"
    filesystem, root = _connected(f"{scheme}://{host}/{mark}{options}")
    # The root of a bucket is its name; that of HDFS is "/".
    return filesystem, f"{root.rstrip('/')}/{unquote(path)}".rstrip("/") or "/"


def open_at_random(uri: str) -> pa.NativeFile:
    """Open a file to read parts of it in any order: nothing is read ahead, nor kept.

    Raises:
        OSError, ValueError, ImportError: it does not exist, or as `open_uri`.
    """
    filesystem, path = open_uri(uri)
    if isinstance(filesystem, pafs.PyFileSystem):
        # By default fsspec reads 5 MB ahead of whatever it is asked for.
        file = filesystem.handler.fs.open(path, "rb", cache_type="none")
        return pa.PythonFile(file, mode="r")
    return filesystem.open_input_file(path)


@lru_cache(maxsize=64)
def _connected(root: str) -> tuple[pafs.FileSystem, str]:
    # pyarrow has no more connections than threads, of which it begins with 8.
    pa.set_io_thread_count(max(pa.io_thread_count(), CONNECTIONS))
    filesystem, path = pafs.FileSystem.from_uri(root)
    return filesystem, path


def join_uri(folder: str, name: str) -> str:
    """Return the URI of a name below a folder's, whose options stay at the end.

    The name is a plain one: what would mean something in a URI stands for itself.
    """
    if folder.partition("://")[0] not in (*PYARROW_SCHEMES, "file"):
        return f"{folder.rstrip('/')}/{name}"
    start, mark, options = folder.partition("?")
    return f"{start.rstrip('/')}/{quote(name)}{mark}{options}"


def split_uri(uri: str) -> tuple[str, str]:
    """Return the URI of the folder that a URI's file is in, and the file's name: see `join_uri`.

    Raises:
        ValueError: it names no file in a folder or bucket.
    """
    plain = uri.partition("://")[0] not in (*PYARROW_SCHEMES, "file")
    start, mark, options = (uri, "", "") if plain else uri.partition("?")
    folder, _, name = start.rpartition("/")
    if not name or folder.endswith(("/", ":")):
        raise ValueError("it names no file in a folder or bucket")
    return f"{folder}{mark}{options}", name if plain else unquote(name)


class _Handler(pafs.FSSpecHandler):
    """A file system of fsspec, which takes a server that is away for one without the file."""

    def _info(self, path: str) -> Any:
        try:
            return self.fs.info(path)
        except FileNotFoundError as error:
            if is_away(error):
                raise ConnectionError(str(error.__cause__)) from error
            raise

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        found = []
        for path in paths:
            try:
                found.append(self._create_file_info(path, self._info(path)))
            except FileNotFoundError:
                found.append(pafs.FileInfo(path, pafs.FileType.NotFound))
        return found

    def open_input_stream(self, path: str) -> pa.PythonFile:
        if self._info(path)["type"] != "file":
            raise FileNotFoundError(path)
        return pa.PythonFile(self.fs.open(path, mode="rb"), mode="r")

    open_input_file = open_input_stream


def is_away(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, says that storage cannot be reached for the
    moment, not what is in it.
    """
    if error.__cause__ is not None and is_away(error.__cause__):
        return True
    if isinstance(error, (ConnectionError, TimeoutError)) or _is_unresolved(error):
        return True
    # Of an answer to aiohttp.
    status = getattr(error, "status", None)
    if isinstance(status, int) and (status == 429 or (status >= 500 and status != 501)):
        return True
    if type(error).__name__ in _CUT_OFF:
        return True
    return isinstance(error, OSError) and bool(_AWAY.search(str(error)))


def _is_unresolved(error: BaseException) -> bool:
    """Whether a host has no address, by all that is known for the moment."""
    if error.__cause__ is not None and _is_unresolved(error.__cause__):
        return True
    if isinstance(error, socket.gaierror):
        return True
    return isinstance(error, OSError) and bool(_UNRESOLVED.search(str(error)))


def seconds_tried(error: BaseException) -> float:
    """Return for how long `patiently` tries what ends in an error that `is_away`."""
    return min(_UNRESOLVED_SECONDS, PATIENCE_SECONDS) if _is_unresolved(error) else PATIENCE_SECONDS


def patiently(action: str, call: Callable[[], _T]) -> _T:
    """Call something that uses remote storage, again and again while that `is_away`.

    Args:
        action: what the call does, as in "read s3://bucket/a.json", for the log.
        call: may be called several times.

    Raises:
        ConnectionError: the storage is away for `seconds_tried`, and what was raised says that the
            file is missing, or is no OSError.
        Exception: what the call raised, at once or after `seconds_tried`.
    """

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        limit = PATIENCE_SECONDS if error is None else seconds_tried(error)
        left = max(0.0, limit - (state.seconds_since_start or 0.0))
        why = first_line(error or OSError())
        _log.warning(
            "%s",
            f"cannot {without_passwords(action)} for the moment, trying again for {left:.0f} s: "
            f"{why} (is the place right, and its endpoint?)",
        )

    def is_enough(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        limit = PATIENCE_SECONDS if error is None else seconds_tried(error)
        return (state.seconds_since_start or 0.0) >= limit

    retrying = Retrying(
        retry=retry_if_exception(is_away),
        wait=wait_exponential(max=_LONGEST_WAIT),
        stop=is_enough,
        before_sleep=say,
        reraise=True,
    )
    try:
        return retrying(call)
    except Exception as error:
        named = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        if named or not is_away(error):
            raise
        raise ConnectionError(str(error)) from error
