"""Any URI that pyarrow or fsspec knows, through one interface."""

import logging
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, unquote

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
)

from rankloop.redaction import without_passwords

# pyarrow's own clients; it knows best what is wrong with one of their URIs.
PYARROW_SCHEMES = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")
# Reads that a process may have under way at once.
CONNECTIONS = 64
# Storage that is away for longer ends a job, which goes on when it is started again.
PATIENCE_SECONDS = 300.0
_LONGEST_WAIT = 30.0
# What object stores answer while they are away or have too much to do; pyarrow has no classes for
# these, and all else (no permission, no bucket, a wrong key) would be the same the next time.
_AWAY = re.compile(
    r"HTTP status (429|5\d\d)|NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE"
    r"|REQUEST_TIMEOUT|THROTTLING|curlCode: (6|7|28|35|52|55|56)\b|Connection reset|timed out",
)
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
        return pafs.PyFileSystem(pafs.FSSpecHandler(handler)), str(path).rstrip("/")
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


def is_away(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, says that storage cannot be reached for the
    moment, not what is in it.
    """
    if error.__cause__ is not None and is_away(error.__cause__):
        return True
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    return isinstance(error, OSError) and bool(_AWAY.search(str(error)))


def patiently(action: str, call: Callable[[], _T]) -> _T:
    """Call something that uses remote storage, again and again while that `is_away`.

    Args:
        action: what the call does, as in "read s3://bucket/a.json", for the log.
        call: may be called several times.

    Raises:
        Exception: what the call raised, at once or after PATIENCE_SECONDS.
    """

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        text = f"cannot {action} for the moment, trying again: {error}"
        _log.warning("%s", without_passwords(text))

    retrying = Retrying(
        retry=retry_if_exception(is_away),
        wait=wait_exponential(max=_LONGEST_WAIT),
        stop=stop_after_delay(PATIENCE_SECONDS),
        before_sleep=say,
        reraise=True,
    )
    return retrying(call)
