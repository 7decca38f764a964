"""ASHA whose decisions survive the driver.

Ray Tune saves a sweep without its scheduler, so that a restored sweep has empty rungs. Here every
decision is in the study before it takes effect, and the rungs are filled from there on a restart.
"""

from types import SimpleNamespace
from typing import Any

import optuna
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from rankloop.tuning.study import record, recorded

STEP = "step"
VALUE = "value"


class DurableSuccessiveHalving(FIFOScheduler):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934) over a durable study.

    A trial's config says which study trial it is (``number``; None for runs outside the study,
    which are never stopped). Study trial 0, the paper's configuration, is never stopped either:
    the report compares against it at full budget.

    Args:
        study: where decisions are written and read back.
        first_rung: steps after which a trial may be stopped for the first time.
        steps: full budget of a trial.
        reduction_factor: the best 1/reduction_factor of a rung go on.
    """

    def __init__(
        self, study: optuna.Study, first_rung: int, steps: int, reduction_factor: int = 3
    ) -> None:
        super().__init__()
        self._study = study
        self._steps = steps
        self._asha = ASHAScheduler(
            time_attr=STEP,
            metric=VALUE,
            mode="max",
            grace_period=first_rung,
            max_t=steps,
            reduction_factor=reduction_factor,
            stop_last_trials=False,
        )
        for trial in study.get_trials(deepcopy=False):
            for step, (value, _) in recorded(trial).items():
                self._decide(trial.number, step, value)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide whether a trial goes on; the same answer again for a step already decided."""
        number = trial.config["number"]
        if number is None or STEP not in result or result.get("error"):
            return str(TrialScheduler.CONTINUE)
        step, value = result[STEP], result[VALUE]
        known = recorded(self._study.get_trials(deepcopy=False)[number])
        if step in known:
            stop = known[step][1]
        else:
            stop = self._decide(number, step, value) and number != 0
            record(self._study, number, step, value, stop)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def _decide(self, number: int, step: int, value: float) -> bool:
        if step >= self._steps:
            return False
        # ASHA knows trials by id only; ours must mean the same before and after a restart.
        trial = SimpleNamespace(trial_id=str(number))
        if str(number) not in self._asha._trial_info:
            self._asha.on_trial_add(None, trial)
        decision = self._asha.on_trial_result(None, trial, {STEP: step, VALUE: value})
        return bool(decision == TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing to do: the final result was decided on when it was reported."""
