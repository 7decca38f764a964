import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from rankloop.errors import StorageError
from rankloop.tracking.backup import restore, save


def rows(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT name FROM runs").fetchall()


@pytest.fixture
def database(tmp_path):
    """One that is open, with a row that is not committed yet."""
    path = tmp_path / "head" / "mlflow.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE runs (name TEXT)")
        connection.execute("INSERT INTO runs VALUES ('sweep')")
        connection.commit()
        connection.execute("INSERT INTO runs VALUES ('half')")
        yield path


def test_a_new_machine_gets_what_was_saved_while_the_server_wrote(database, tmp_path):
    bucket = (tmp_path / "bucket").as_uri()
    elsewhere = tmp_path / "new" / database.name
    elsewhere.parent.mkdir()
    for command, path in (("save", database), ("restore", elsewhere)):
        module = "rankloop.tracking.backup"
        subprocess.run([sys.executable, "-m", module, command, str(path), bucket], check=True)
    assert rows(elsewhere) == [("sweep",)]
    assert sorted(path.name for path in database.parent.iterdir()) == [
        "mlflow.db",
        "mlflow.db-shm",
        "mlflow.db-wal",
    ]


def test_a_database_that_is_here_stays(database, tmp_path):
    folder = str(tmp_path / "bucket")
    save(database, folder)
    here = tmp_path / "mlflow.db"
    here.write_bytes(b"newer")
    restore(here, folder)
    assert here.read_bytes() == b"newer"


def test_nothing_to_save_and_nothing_to_restore(tmp_path):
    database = tmp_path / "mlflow.db"
    save(database, str(tmp_path / "bucket"))
    restore(database, str(tmp_path / "bucket"))
    assert not list(tmp_path.iterdir())


def test_a_copy_that_cannot_be_read_is_not_none(tmp_path):
    (tmp_path / "bucket" / "mlflow.db").mkdir(parents=True)
    with pytest.raises(StorageError):
        restore(tmp_path / "mlflow.db", str(tmp_path / "bucket"))
