"""Every error that rankloop raises on purpose: each names the value, the limit and the remedy."""

from rankloop.redaction import without_passwords
from rankloop.shown import printable


class RankloopError(Exception):
    """Base of all errors that a user can act on; jobs print it as one line and exit with 1.

    Its text is shown, logged and written to tables: passwords in it are left out, and what a
    terminal would obey is escaped.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(without_passwords(message)))


class ConfigError(RankloopError):
    """A configuration or command-line value is unknown or out of range."""


class DataError(RankloopError):
    """A data source is missing, empty, malformed or leaks between splits."""


class ImageError(DataError):
    """One image cannot be decoded safely; callers skip it, count it and list it."""


class StorageError(RankloopError):
    """A storage folder or URI cannot be read or written."""


class MissingFileError(StorageError):
    """A file of a storage folder does not exist."""


class DamagedFileError(StorageError):
    """A file of a storage folder is not of its format: cut short, or changed by others."""


class LockedError(StorageError):
    """Another driver is at work in this result folder."""


class CheckpointError(StorageError):
    """A checkpoint is missing, incomplete or does not fit the model."""


class TrainingError(RankloopError):
    """Training cannot go on (a NaN loss, say); trying the same again gives the same."""


class SweepError(RankloopError):
    """No trial of a sweep finished."""


class ClusterError(RankloopError):
    """Ray cannot be started."""
