"""How often a run has begun on workers without getting any further."""

from typing import Any

from rankloop.errors import DamagedFileError, MissingFileError, TrainingError
from rankloop.storage import Folder
from rankloop.training.checkpoints import newest_step

ATTEMPTS = "attempts.json"
MOST_ATTEMPTS = 4
# Of whatever number of workers; hosts that come and go at one step are not the run's fault.
MOST_BEGINNINGS = 20
# Of one command, however far it got in between: workers that end before they can count, too.
MOST_FAILURES = 100


def begin_attempt(folder: Folder, workers: int) -> None:
    """Count a beginning of a run.

    Hosts may vanish while the run gets further in between (Ray ends it only after MOST_FAILURES),
    and a cluster may grow and shrink; but what ends the same way MOST_ATTEMPTS times is not tried
    for ever.

    Args:
        folder: the run's.
        workers: how many train it this time.

    Raises:
        TrainingError: MOST_ATTEMPTS beginnings of as many workers in a row, or MOST_BEGINNINGS of
            any number, got no further than this one begins.
    """
    step = newest_step(folder / "checkpoints") or 0
    last = _last(folder)
    here = last if last.get("step") == step else {}
    begun = here.get("begun", 0) + 1 if here.get("workers") == workers else 1
    in_all = here.get("in_all", 0) + 1
    if begun > MOST_ATTEMPTS or in_all > MOST_BEGINNINGS:
        raise TrainingError(
            f"workers were lost {max(begun, in_all) - 1} times without getting further than step "
            f"{step}: their memory may be too small (fewer images per step need less), their hosts "
            "may go more often than a checkpoint is written (--checkpoint-every), or see Ray's "
            "logs; then run the same command again"
        )
    now = {"step": step, "workers": workers, "begun": begun, "in_all": in_all}
    folder.write_json(ATTEMPTS, now)


def forget_attempts(folder: Folder) -> None:
    """Let a run that is begun by a new command have all its attempts."""
    folder.remove(ATTEMPTS)


def _last(folder: Folder) -> dict[str, Any]:
    try:
        found: dict[str, Any] = folder.read_json(ATTEMPTS)
    except (MissingFileError, DamagedFileError):
        return {}
    return found
