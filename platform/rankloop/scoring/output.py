"""Where a table of scores goes: a file here, or an object in a bucket."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rankloop.errors import ConfigError, LockedError, StorageError
from rankloop.filesystems import split_uri
from rankloop.locking import LOCK_NAME, locked
from rankloop.progress import paced
from rankloop.redaction import without_passwords
from rankloop.scoring.table import FORMATS, partial_path
from rankloop.storage import Folder, open_folder

_log = logging.getLogger("rankloop")


@dataclass(frozen=True)
class Output:
    """Where a table goes.

    Attributes:
        folder: what it is in.
        name: its name there, which ends in .csv or .parquet.
    """

    folder: Folder
    name: str

    def __str__(self) -> str:
        """Path or URI, without user and password."""
        return str(self.folder / self.name)


def find_output(output: str | Path) -> Output:
    """Return where a table goes, given by its path or URI.

    Raises:
        ConfigError: the name ends in no known format, or there is a folder of that name.
        StorageError: nothing here can open that URI.
    """
    text = str(output)
    shown = without_passwords(text)
    if isinstance(output, Path) and ":/" in text:
        raise ConfigError(f"output {shown} is a URI in a Path: give it as text")
    path = Path(text)
    try:
        parent, name = split_uri(text) if "://" in text else (str(path.parent), path.name)
    except ValueError as error:
        raise ConfigError(f"output {shown}: {error}") from error
    if Path(name).suffix.lower() not in FORMATS:
        raise ConfigError(f"output {shown} is neither {' nor '.join(FORMATS)}: give one of these")
    found = Output(open_folder(parent), name)
    if found.folder.is_local and Path(str(found)).is_dir():
        raise ConfigError(f"output {shown} is a folder: give the name of a file")
    return found


@contextmanager
def delivered(output: Output, digest: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Give a local file to write a table to, and see to it that it gets where it is to go.

    On a disk that is the output itself. Objects of a bucket cannot be appended to: the rows are
    written here, copied there now and then so that another machine can go on from them, and become
    the output when the block ends.

    Args:
        output: where it goes.
        digest: of what the rows are made with.

    Yields:
        The local file, and a function to call after rows were appended to its `partial_path`.

    Raises:
        LockedError: another process writes the same table.
        StorageError: it cannot be written.
    """
    if output.folder.is_local:
        yield Path(str(output)), lambda: None
        return
    beside = output.folder / f"{output.name}.partial"
    with _alone(beside, output), tempfile.TemporaryDirectory(prefix="rankloop-scores-") as scratch:
        local = Path(scratch) / output.name
        rows = partial_path(local, digest)
        if beside.has(rows.name):
            rows.write_bytes(beside.read_bytes(rows.name))

        def keep() -> None:
            if rows.exists():
                beside.write_bytes(rows.name, rows.read_bytes())

        try:
            yield local, paced(keep)
        except StorageError:
            raise
        except BaseException:
            keep()
            raise
        output.folder.write_bytes(output.name, local.read_bytes())
        _tidy(beside, output)


def _tidy(beside: Folder, output: Output) -> None:
    """Remove the rows alone: with their folder the lock would go of who waits for it.

    Where folders are more than parts of names an empty one is left.
    """
    try:
        for name in beside.names():
            if name != LOCK_NAME:
                beside.remove(name)
    except StorageError as error:
        _log.warning("%s is whole, but its unfinished rows are still beside it: %s", output, error)


@contextmanager
def _alone(beside: Folder, output: Output) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(beside))
        except LockedError as error:
            raise LockedError(
                f"another process is writing {output}: wait for it (if its host is gone, its lock "
                "ends by itself within 5 minutes), or give another --output"
            ) from error
        yield
