"""Opening MLflow, with its database created once."""

import logging
import os
from contextlib import nullcontext
from typing import Any

import filelock
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_fixed,
)

from rankloop.errors import StorageError
from rankloop.shown import first_line
from rankloop.storage import Folder
from rankloop.tracking.away import is_away
from rankloop.tracking.location import Location, locate
from rankloop.tracking.runs import Tracking

_LOG = logging.getLogger(__name__)
# A server that starts with its host needs about half of it.
PATIENCE_SECONDS = 60.0
_SECONDS_BETWEEN_TRIES = 5.0
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
    # A proxy may ask for an hour.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}


def open_tracking(storage: Folder, *, patience: float | None = None) -> Tracking:
    """Open the MLflow store of a storage folder, and create its database if there is none.

    ``MLFLOW_TRACKING_URI`` says where, if it is set. Otherwise it is ``storage/mlflow.db``, or
    ``~/rankloop/mlflow.db`` when the storage is a bucket, which cannot hold a database.

    A server that does not answer for so long is left out, with a warning: see `Tracking`.

    Args:
        storage: the storage folder.
        patience: seconds to wait for a server; PATIENCE_SECONDS by default.

    Raises:
        StorageError: the server refuses, the URI can never work, or the database cannot be opened.
    """
    location = locate(storage)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    # What failed after its call has returned would be taken for sent.
    os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It would warn of every try of every call.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    file = location.sqlite_file
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        # Drivers that create the tables at the same time break each other's first use.
        with filelock.FileLock(f"{file}.lock", timeout=_LOCK_SECONDS) if file else nullcontext():
            client = MlflowClient(tracking_uri=location.uri)
            _patiently(location, client, PATIENCE_SECONDS if patience is None else patience)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        if location.is_http and is_away(error):
            return Tracking(client, location, away=error)
        raise StorageError(
            f"cannot open MLflow at {location.shown}: {first_line(error)}; {_remedy(location)}"
        ) from error
    if location.notes:
        _LOG.warning(location.notes)
    return Tracking(client, location)


def _patiently(location: Location, client: Any, seconds: float) -> None:
    """Ask for anything, again and again while a server is away.

    Raises:
        Exception: what the last try raised.
    """

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        left = max(0.0, seconds - (state.seconds_since_start or 0.0))
        # Once is enough for what may be a long line.
        why = f": {first_line(error)}" if error and state.attempt_number == 1 else ""
        _LOG.warning(
            "MLflow at %s does not answer, trying again for %.0f s%s", location.shown, left, why
        )

    Retrying(
        retry=retry_if_exception(lambda error: location.is_http and is_away(error)),
        wait=wait_fixed(_SECONDS_BETWEEN_TRIES),
        stop=stop_after_delay(seconds),
        before_sleep=say,
        reraise=True,
    )(client.search_experiments, max_results=1)


def _remedy(location: Location) -> str:
    if location.is_http:
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
