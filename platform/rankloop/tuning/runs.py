"""Many training runs over a Ray cluster, each resumable in its own folder."""

import logging
import os
import tempfile
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune import Callback
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from rankloop.errors import SweepError, TrainingError
from rankloop.methods import find_method
from rankloop.metrics import UNDEFINED, compared_value
from rankloop.redaction import without_passwords
from rankloop.shown import first_line, warn_without_passwords
from rankloop.streams.batches import plain_batches
from rankloop.streams.ray_batches import group_cpus, ray_batches
from rankloop.training.attempts import MOST_FAILURES, begin_attempt, forget_attempts
from rankloop.training.loop import Report, train
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.run_result import make_run_result
from rankloop.tuning.successive_halving import STEP, VALUE
from rankloop.waiting import Waiting, needed

_log = logging.getLogger("rankloop")
_CREDENTIALS = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"),
}


class RunWatcher:
    """Told of every run's progress, in the driver. All methods do nothing unless overridden."""

    def started(self, run: dict[str, Any]) -> None:
        """A run begins, or goes on."""

    def reported(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        """A run was evaluated: ``step``, ``value``, ``metrics``, ``losses``."""

    def ended(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        """A run finished (``step`` is the full budget), was stopped early, or failed."""


def train_runs(
    context: RunContext,
    searcher: Searcher,
    *,
    at_once: int,
    watcher: RunWatcher,
    scheduler: TrialScheduler | None = None,
) -> None:
    """Train every run that the searcher suggests, a given number at a time.

    A run whose worker process dies starts again from its newest checkpoint; a run that fails does
    not end the others.

    Raises:
        SweepError: all runs failed; carries the first traceback.
    """
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    # Else Tune takes Ctrl-C for the end of the sweep, and its winner would be published.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    # Tune would pass them to every trial by its runtime environment, which Ray writes to a log that
    # all can read. Workers have the environment of their node, as in any other job.
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(_CREDENTIALS)
    resources = _resources(context)
    cpus = sum(bundle.get("CPU", 0) for bundle in resources.bundles)
    tally = _Tally(watcher, Waiting(needed(context.gpus, cpus, "trial")))
    for name in (context.folder / "runs").names():
        forget_attempts(context.run_folder(name))
    with tempfile.TemporaryDirectory(prefix="rankloop-tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_train_one, context=context), resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler or FIFOScheduler(),
                num_samples=-1,
                max_concurrent_trials=at_once,
                reuse_actors=True,
            ),
            # Tune's own snapshots are scratch: the study and the runs' folders hold the truth.
            run_config=tune.RunConfig(
                storage_path=scratch,
                callbacks=[tally],
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MOST_FAILURES),
            ),
        )
        tuner.fit()
    if tally.failures and not tally.finished:
        raise SweepError(
            f"all {len(tally.failures)} runs failed; the first ({tally.failures[0][0]}) with:\n"
            f"{tally.failures[0][1]}"
        )


def _resources(context: RunContext) -> tune.PlacementGroupFactory:
    if not context.data_workers:
        return tune.PlacementGroupFactory([{"CPU": 1, "GPU": context.gpus}])
    # With room of their own, the tasks of a run never wait for other runs to end.
    streams = find_method(context.method).streams(context.base, context.data, 0)
    tasks = {"CPU": group_cpus(len(streams), context.data_workers)}
    return tune.PlacementGroupFactory([{"CPU": 0.5, "GPU": context.gpus}, tasks])


def _train_one(config: dict[str, Any], context: RunContext) -> None:
    # To Ray's logs, which others can read.
    warn_without_passwords()
    torch.set_num_threads(1)

    def report(progress: Report) -> bool:
        tune.report(
            {
                STEP: progress.step,
                VALUE: compared_value(context.metric, progress.metrics),
                "metrics": dict(progress.metrics),
                "losses": [(step, dict(terms)) for step, terms in progress.losses.items()],
            }
        )
        return True

    resolved = None
    reads = context.data.reads_at_once
    try:
        resolved = context.run_config(config["values"])
        begin_attempt(context.run_folder(config["name"]), workers=1)
        train(
            find_method(context.method),
            resolved,
            context.data,
            context.run_folder(config["name"]),
            seed=config["seed"],
            schedule=context.schedule,
            open_streams=(
                partial(
                    ray_batches,
                    data_workers=context.data_workers,
                    reads_at_once=reads,
                    in_group=True,
                )
                if context.data_workers
                else partial(plain_batches, reads_at_once=reads)
            ),
            on_report=report,
        )
        _make_result(context, config["name"])
    except Exception as error:
        # Values that contradict each other are refused again, and the same training gives the same
        # NaN; anything else may be over the next time.
        retry = resolved is not None and not isinstance(error, TrainingError)
        text = without_passwords(traceback.format_exc())
        tune.report({"error": text, "retry": retry, STEP: 0, VALUE: UNDEFINED})


def _make_result(context: RunContext, name: str) -> None:
    # Here, where all is loaded. What fails is made again by the driver, which reports its error.
    try:
        make_run_result(context, name)
    except Exception as error:
        _log.warning("the result of %s is made later: %s", name, first_line(error))


class _Tally(Callback):
    """Passes Tune's events on, and counts how runs ended."""

    def __init__(self, watcher: RunWatcher, waiting: Waiting) -> None:
        self._watcher, self._waiting = watcher, waiting
        self.finished: list[str] = []
        self.failures: list[tuple[str, str]] = []

    def __getstate__(self) -> dict[str, Any]:
        # For Tune's own snapshots, which are scratch.
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        # Also when the hosts of all trials are gone: they wait to start again then.
        live = [trial.status for trial in trials if not trial.is_finished()]
        self._waiting.look(bool(live) and Trial.RUNNING not in live)

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._watcher.started(trial.config)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if not result.get("error") and "metrics" in result:
            self._watcher.reported(trial.config, result)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        result = trial.last_result or {}
        if result.get("error"):
            self.failures.append((trial.config["name"], result["error"]))
        else:
            self.finished.append(trial.config["name"])
        self._watcher.ended(trial.config, result)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        path = trial.error_file
        text = Path(path).read_text() if path else "the worker process was lost"
        text = without_passwords(text)
        self.failures.append((trial.config["name"], text))
        self._watcher.ended(trial.config, {"error": text, "retry": True})
