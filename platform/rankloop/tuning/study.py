"""The durable record of a sweep: an Optuna study in the result folder.

Everything that a restart needs is in the study: which trials were asked for and with what, every
value a trial reported, and the stopping decision that was taken on it, each in one append.
"""

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from rankloop.storage import Folder
from rankloop.tuning.sampler import SeededSampler

# A search space: draws a trial's hyperparameters.
Space = Callable[[optuna.Trial], dict[str, Any]]


class FolderJournal(BaseJournalBackend):
    """An Optuna journal in a bucket: one immutable object per append, numbered.

    Only one driver writes (`rankloop.locking`): numbers never collide, and what was read once need
    not be looked for again.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        names = folder.names()
        self._objects = len(names)
        self._logs = [log for name in names for log in folder.read_json(name)]

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return all records from a number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records as one object; they are there as a whole or not at all."""
        self._folder.write_json(f"{self._objects:09d}.json", logs)
        self._objects += 1
        # As they will be read back: Optuna must see the same after a restart.
        self._logs.extend(json.loads(json.dumps(logs)))


def open_study(folder: Folder, first: dict[str, Any]) -> optuna.Study:
    """Open a sweep's study, or create it with its first trial set to the paper's configuration.

    Args:
        folder: where the journal is or shall be; ``optuna-dashboard`` reads the local form.
        first: hyperparameters of the first trial.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    backend: BaseJournalBackend
    if folder.is_local:
        Path(folder.path).mkdir(parents=True, exist_ok=True)
        # A killed driver leaves Optuna's own lock behind; by rankloop.locking we are alone here.
        folder.remove("journal.log.lock")
        _mend(Path(folder.path) / "journal.log")
        backend = JournalFileBackend(f"{folder.path}/journal.log")
    else:
        backend = FolderJournal(folder / "journal")
    study = optuna.create_study(
        storage=JournalStorage(backend),
        study_name="sweep",
        direction="maximize",
        load_if_exists=True,
    )
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(first)
    return study


def _mend(journal: Path) -> None:
    # A power cut or a full disk can leave half a last line, with which nothing could be read.
    if journal.exists():
        content = journal.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with journal.open("rb+") as file:
                file.truncate(whole)


def ask(study: optuna.Study, space: Space, seed: int) -> tuple[int, dict[str, Any]]:
    """Return the number and hyperparameters of a new trial.

    They are a function of the seed, the trial's number, and the trials known so far.
    """
    number = sum(t.state != TrialState.WAITING for t in study.get_trials(deepcopy=False))
    study.sampler = SeededSampler(seed, number)
    trial = study.ask()
    return trial.number, space(trial)


def interrupted(study: optuna.Study, space: Space, seed: int) -> list[tuple[int, dict[str, Any]]]:
    """Trials that a driver began and did not end, with their hyperparameters."""
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if stopped_at(trial) is None:
            # Draws what the driver had not yet written down; keeps what it had.
            study.sampler = SeededSampler(seed, trial.number)
            found.append((trial.number, space(optuna.Trial(study, trial._trial_id))))
    return found


def record(study: optuna.Study, number: int, step: int, value: float, stop: bool) -> None:
    """Write down a reported value and the decision taken on it, in one append each.

    The decision comes last: a value without one is decided again after a restart.
    """
    trial = _trial(study, number)
    live = optuna.Trial(study, trial._trial_id)
    if step not in trial.intermediate_values:
        live.report(value, step)
    live.set_user_attr(f"step {step}", json.dumps({"value": value, "stop": stop}))


def recorded(trial: FrozenTrial) -> dict[int, tuple[float, bool]]:
    """Step to (value, stop) of every decision taken on a trial."""
    decisions = {}
    for name, text in trial.user_attrs.items():
        if name.startswith("step "):
            entry = json.loads(text)
            decisions[int(name.removeprefix("step "))] = (entry["value"], entry["stop"])
    return dict(sorted(decisions.items()))


def stopped_at(trial: FrozenTrial) -> int | None:
    """Step at which a trial was stopped early, or None."""
    return next((step for step, (_, stop) in recorded(trial).items() if stop), None)


def finish(study: optuna.Study, number: int, state: TrialState, value: float | None = None) -> None:
    """Tell the study how a trial ended."""
    trial = _trial(study, number)
    if not trial.state.is_finished():
        study.tell(number, value, state=state)


def settle(study: optuna.Study) -> None:
    """End trials whose stop was decided just before the driver died."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if stopped_at(trial) is not None:
            finish(study, trial.number, TrialState.PRUNED)


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the highest value among those trained with the full budget."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(finished, key=lambda trial: (trial.value, -trial.number), default=None)


def _trial(study: optuna.Study, number: int) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[number]
