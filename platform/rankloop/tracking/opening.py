"""Opening MLflow, with its database created once."""

import logging
import os
from contextlib import nullcontext

import filelock

from rankloop.errors import StorageError
from rankloop.storage import Folder
from rankloop.tracking.location import Location, locate
from rankloop.tracking.runs import Tracking, first_line

_LOG = logging.getLogger(__name__)
_LOCK_SECONDS = 120.0
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Jobs promise that their result folder is the last line they print.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own defaults hold a driver up for minutes per call when the server is gone.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def open_tracking(storage: Folder) -> Tracking:
    """Open the MLflow store of a storage folder, and create its database if there is none.

    ``MLFLOW_TRACKING_URI`` says where, if it is set. Otherwise it is ``storage/mlflow.db``, or
    ``~/rankloop/mlflow.db`` when the storage is a bucket, which cannot hold a database.

    Raises:
        StorageError: the server does not answer or refuses, or the database cannot be opened.
    """
    location = locate(storage)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    file = location.sqlite_file
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        # Drivers that create the tables at the same time break each other's first use.
        with filelock.FileLock(f"{file}.lock", timeout=_LOCK_SECONDS) if file else nullcontext():
            client = MlflowClient(tracking_uri=location.uri)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise StorageError(
            f"cannot open MLflow at {location.shown}: {first_line(error)}; {_remedy(location)}"
        ) from error
    if location.notes:
        _LOG.warning(location.notes)
    return Tracking(client, location)


def _remedy(location: Location) -> str:
    if location.uri.startswith("http"):
        return (
            "start that server, let it accept this host (mlflow server --allowed-hosts), check "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD if it asks for them, or unset "
            "MLFLOW_TRACKING_URI to keep the runs in a local database"
        )
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return (
            "set MLFLOW_TRACKING_URI to a server (http://host:port) or a database "
            "(sqlite:////folder/mlflow.db), or unset it to keep the runs in the storage folder"
        )
    return "give a --storage folder that you may write to, or set MLFLOW_TRACKING_URI"
