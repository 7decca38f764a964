"""A copy of an MLflow server's SQLite database in a bucket, for when its machine is gone.

python -m rankloop.tracking.backup save DATABASE FOLDER      while the server runs
python -m rankloop.tracking.backup restore DATABASE FOLDER   before it starts
"""

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from rankloop.errors import MissingFileError
from rankloop.storage import open_folder


def save(database: Path, folder: str) -> None:
    """Copy the database into the folder, as of one moment; without a database do nothing.

    Raises:
        StorageError: the folder cannot be written.
    """
    if not database.exists():
        return
    with tempfile.TemporaryDirectory(dir=database.parent) as scratch:
        copy = Path(scratch) / database.name
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        open_folder(folder).write_bytes(database.name, copy.read_bytes())


def restore(database: Path, folder: str) -> None:
    """Bring the folder's copy here if there is one; a database that is here stays as it is.

    Raises:
        StorageError: the folder cannot be read, and so may have one.
    """
    if database.exists():
        return
    try:
        data = open_folder(folder).read_bytes(database.name)
    except MissingFileError:
        return
    open_folder(str(database.parent)).write_bytes(database.name, data)


if __name__ == "__main__":
    {"save": save, "restore": restore}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
