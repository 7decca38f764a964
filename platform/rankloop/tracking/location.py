"""Where MLflow keeps the runs of a storage folder, and how to look at them."""

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from rankloop.redaction import without_passwords
from rankloop.storage import Folder

UI_PORT = 5000


@dataclass(frozen=True)
class Location:
    """A place for runs.

    Attributes:
        uri: MLflow's tracking URI; may hold a password.
        artifacts: URI of the folder for files of new experiments; None where a server decides.
        notes: what a user should know about the place; may be empty.
    """

    uri: str
    artifacts: str | None
    notes: str = ""

    @property
    def shown(self) -> str:
        """The URI without the password it may hold."""
        return without_passwords(self.uri)

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file, if it is one."""
        scheme, _, path = self.uri.partition(":///")
        return Path(path) if scheme.startswith("sqlite") and path else None

    @property
    def on_server(self) -> bool:
        """Whether the runs are behind a server, which then shows them too, or meant to be."""
        return self.artifacts is None

    @property
    def is_http(self) -> bool:
        """Whether they are behind a server, which may be away for a while."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def base_url(self) -> str:
        """Where the pages are: the server, or what `ui_command` starts."""
        return self.shown.rstrip("/") if self.on_server else f"http://127.0.0.1:{UI_PORT}"

    @property
    def ui_command(self) -> str:
        """The shell command that opens the pages, or a server's URL."""
        if self.on_server:
            return self.base_url
        program = Path(sys.executable).parent / "mlflow"
        start = [str(program)] if program.exists() else [sys.executable, "-m", "mlflow"]
        # Other databases have a password in their URI, which belongs on no terminal.
        store = shlex.quote(self.uri) if self.sqlite_file else '"$MLFLOW_TRACKING_URI"'
        return (
            f"{shlex.join(start)} ui --backend-store-uri {store} --host 127.0.0.1 --port {UI_PORT}"
        )


def locate(storage: Folder) -> Location:
    """Return ``MLFLOW_TRACKING_URI`` if it is set, else ``storage/mlflow.db``.

    A bucket cannot hold a database: its runs go to ``~/rankloop/mlflow.db``, and the notes say so.
    """
    home = Path(storage.path) if storage.is_local else Path.home() / "rankloop"
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri and not re.match(r"(sqlite|postgresql|mysql|mssql)\b", uri):
        return Location(uri, None)
    artifacts = (home / "mlartifacts").as_uri()
    if uri:
        return Location(uri, artifacts)
    notes = (
        f"MLflow keeps its runs in {home}, since {storage} cannot hold a database: set "
        "MLFLOW_TRACKING_URI to share them from a server"
    )
    return Location(f"sqlite:///{home / 'mlflow.db'}", artifacts, "" if storage.is_local else notes)


def ui_command(storage: Folder) -> str:
    """Return the shell command that opens the runs of a storage folder, or the server's URL."""
    return locate(storage).ui_command
