"""How often a run has begun on workers without getting any further."""

from typing import Any

from rankloop.errors import DamagedFileError, MissingFileError, TrainingError
from rankloop.storage import Folder
from rankloop.training.checkpoints import newest_step

ATTEMPTS = "attempts.json"
MOST_ATTEMPTS = 4


def begin_attempt(folder: Folder, workers: int) -> None:
    """Count a beginning of a run.

    Hosts may vanish as often as they like while the run gets further in between, and a cluster may
    grow and shrink; but what ends the same way MOST_ATTEMPTS times is not tried for ever.

    Args:
        folder: the run's.
        workers: how many train it this time.

    Raises:
        TrainingError: so many beginnings of as many workers got no further than this one begins.
    """
    now: dict[str, Any] = {"step": newest_step(folder / "checkpoints") or 0, "workers": workers}
    last = _last(folder)
    same = all(last.get(name) == value for name, value in now.items())
    begun = last.get("begun", 0) + 1 if same else 1
    if begun > MOST_ATTEMPTS:
        raise TrainingError(
            f"workers were lost {MOST_ATTEMPTS} times without getting further than step "
            f"{now['step']}: their memory may be too small (fewer images per step need less), or "
            "see Ray's logs; then run the same command again"
        )
    folder.write_json(ATTEMPTS, {**now, "begun": begun})


def forget_attempts(folder: Folder) -> None:
    """Let a run that is begun by a new command have all its attempts."""
    folder.remove(ATTEMPTS)


def _last(folder: Folder) -> dict[str, Any]:
    try:
        found: dict[str, Any] = folder.read_json(ATTEMPTS)
    except (MissingFileError, DamagedFileError):
        return {}
    return found
