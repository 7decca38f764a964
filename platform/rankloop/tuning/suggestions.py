"""What Ray Tune runs next: the study's trials, and runs of fixed configuration beside them."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from rankloop.tuning.study import Space, ask, finish, interrupted, settle
from rankloop.tuning.successive_halving import STEP, VALUE


@dataclass(frozen=True)
class Run:
    """One training run that Ray Tune schedules.

    Attributes:
        name: its folder within ``runs`` and its name in MLflow.
        values: configuration fields that differ from the sweep's base configuration.
        seed: its seed.
        number: its trial in the study; None outside the study.
    """

    name: str
    values: dict[str, Any]
    seed: int
    number: int | None = None

    def as_config(self) -> dict[str, Any]:
        """Return it as Ray Tune's trial config."""
        return {
            "name": self.name,
            "values": self.values,
            "seed": self.seed,
            "number": self.number,
        }


def run_name(number: int) -> str:
    """Name of a trial's run."""
    return f"trial-{number:04d}"


class _Suggestions(Searcher):
    """Base of both: Tune's own snapshots hold nothing of ours, the result folder does."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing; the study and the runs' folders are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing; the study and the runs' folders are the state."""


class FixedRuns(_Suggestions):
    """Suggests given runs, in order, once each."""

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__(metric=VALUE, mode="max")
        self._runs = deque(runs)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the next run's config."""
        return self._runs.popleft().as_config() if self._runs else str(Searcher.FINISHED)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to learn from."""


class StudyRuns(_Suggestions):
    """Suggests the study's interrupted trials first, then new ones up to a number of trials.

    Args:
        study: the durable record.
        space: draws a new trial's hyperparameters.
        trials: how many trials the study shall have in all.
        steps: full budget of a trial.
        seed: the sweep's seed; all trials train with it.
        beside: runs outside the study, started right after its first trial.
        after: gives more runs outside the study, once all its trials have ended.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        *,
        trials: int,
        steps: int,
        seed: int,
        beside: Sequence[Run] = (),
        after: Callable[[], Sequence[Run]] | None = None,
    ) -> None:
        super().__init__(metric=VALUE, mode="max")
        self._study, self._space = study, space
        self._trials, self._steps, self._seed = trials, steps, seed
        settle(study)
        self._waiting = deque(interrupted(study, space, seed))
        self._beside = deque(beside)
        self._after = after
        self._running: dict[str, int | None] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next run's config, or None while it depends on trials that still run."""
        run = self._next()
        if run is None and self._after:
            if any(number is not None for number in self._running.values()):
                return None
            self._beside, self._after = deque(self._after()), None
            run = self._next()
        if run is None:
            return str(Searcher.FINISHED)
        self._running[trial_id] = run.number
        return run.as_config()

    def _next(self) -> Run | None:
        begun = [t for t in self._study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
        if self._waiting:
            number, values = self._waiting.popleft()
        elif begun and self._beside:
            return self._beside.popleft()
        elif len(begun) < self._trials:
            number, values = ask(self._study, self._space, self._seed)
        else:
            return None
        return Run(run_name(number), values, self._seed, number)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study how a trial ended.

        A run that broke off for a reason outside itself (a lost machine, a full disk) stays open:
        the same command, given again, goes on with it.
        """
        number = self._running.pop(trial_id, None)
        if number is None or error or not result or result.get("retry"):
            return
        if result.get("error"):
            finish(self._study, number, TrialState.FAIL)
        elif result[STEP] < self._steps:
            finish(self._study, number, TrialState.PRUNED)
        else:
            finish(self._study, number, TrialState.COMPLETE, result[VALUE])
