"""Any URI that pyarrow or fsspec knows, through one interface."""

from functools import lru_cache
from urllib.parse import quote, unquote

import fsspec
import pyarrow.fs as pafs

# pyarrow's own clients; it knows best what is wrong with one of their URIs.
PYARROW_SCHEMES = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")


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


@lru_cache(maxsize=64)
def _connected(root: str) -> tuple[pafs.FileSystem, str]:
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
