"""Shows runs while they train: a line per event on the terminal, every value in MLflow."""

import logging
import textwrap
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from rankloop.errors import ConfigError, StorageError
from rankloop.metrics import shown_value
from rankloop.progress import counter
from rankloop.shown import first_line, last_line, printable
from rankloop.tracking import Tracking, data_tags
from rankloop.tracking.runs import COMPLETE, Status
from rankloop.training.checkpoints import load_latest
from rankloop.training.experiment import json_safe
from rankloop.training.final import past_reports
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.run_result import is_whole, make_run_result
from rankloop.tuning.runs import RunWatcher
from rankloop.tuning.successive_halving import STEP, VALUE
from rankloop.tuning.suggestions import Run

_log = logging.getLogger("rankloop")
# In a failed run's folder.
FAILURE = "failure.json"


class TrackingWatcher(RunWatcher):
    """One MLflow child run per training run, under one parent run.

    Attributes:
        run_ids: of MLflow, by names of runs.
        failures: runs that failed, with ``run``, ``error`` and mostly ``traceback``.
        lacking: names of runs of which MLflow lacks something after `add_results`.

    Args:
        tracking: MLflow.
        context: what the runs share.
        parent: MLflow run id of the sweep or comparison.
        total: how many runs there will be at most, for the progress lines.
        done: how many of them ended before.
    """

    def __init__(
        self, tracking: Tracking, context: RunContext, parent: str, total: int, done: int = 0
    ) -> None:
        self._tracking, self._context, self._parent = tracking, context, parent
        self._total = total
        self._begun = time.monotonic()
        self._best: tuple[float, str] | None = None
        self._ended = done
        self._resumed: dict[str, int] = {}
        self.run_ids: dict[str, str] = {}
        self.failures: list[dict[str, str]] = []
        self.lacking: list[str] = []
        self._runs: dict[str, dict[str, Any]] = {}
        self._endings: dict[str, tuple[Status, dict[str, str]]] = {}
        # One at a time and beside Tune's own loop, which must not wait for pictures.
        self._results = ThreadPoolExecutor(1, thread_name_prefix="rankloop-results")
        self._made: dict[str, Future[list[str]]] = {}

    def started(self, run: dict[str, Any]) -> None:
        """Open the MLflow run, or go on in the one opened before a restart."""
        # Workers' warnings do not reach the terminal: a damaged checkpoint is named from here.
        last = load_latest(self._context.run_folder(run["name"]) / "checkpoints")
        self._open(run)
        if last is not None:
            self._resumed[run["name"]] = last.step
        shown = ", ".join(f"{name} {_short(value)}" for name, value in run["values"].items())
        begins = "starts" if last is None else f"goes on from step {last.step}"
        self._say(run["name"], f"{begins}: {shown}")

    def unfinished(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs that are left to do, and take in the others as `ended_before`."""
        left = [run for run in runs if not is_whole(self._context, run.name)]
        for run in runs:
            if run not in left:
                self._ended += 1
                self._say(run.name, f"was done before ({self._done})")
                self.ended_before(run.as_config(), failed=False)
        return left

    @property
    def _done(self) -> str:
        return f"{self._ended} of at most {self._total} done"

    def ended_before(self, run: dict[str, Any], failed: bool) -> None:
        """Take in a run that ended while an earlier driver was at work."""
        if run["name"] in self.run_ids:
            return
        name = run["name"]
        whole = self._tracking.has_tag(self._context.method, self._key(name), COMPLETE)
        self._open(run)
        folder = self._context.run_folder(name)
        if failed and folder.has(FAILURE):
            self.failures.append(folder.read_json(FAILURE))
        self._make_result(name)
        status: Status = "FAILED" if failed else "FINISHED"
        # The driver that trained it may have ended, or MLflow may have been away.
        tags = {} if whole else self._ending_tags(self._log_curves(name), status)
        self._close(name, status, tags)

    def _open(self, run: dict[str, Any]) -> None:
        try:
            params = self._context.run_config(run["values"]).model_dump(mode="json")
        except ConfigError:
            # The run will fail with it, which must not end the others.
            params = {**self._context.base.model_dump(mode="json"), **run["values"]}
        self._runs[run["name"]] = run
        self.run_ids[run["name"]] = self._tracking.start_run(
            self._context.method,
            run["name"],
            key=self._key(run["name"]),
            parent=self._parent,
            params={**params, "seed": run["seed"]},
            tags=data_tags(self._context.data.dataset),
        )

    def _key(self, name: str) -> str:
        return f"{self._context.folder}/{name}"

    def _log_curves(self, name: str) -> int:
        """Log what MLflow lacks of a run's evaluations, and return the steps that it trained."""
        try:
            last = load_latest(self._context.run_folder(name) / "checkpoints")
        except StorageError as error:
            _log.warning("MLflow may lack evaluations of %s: %s", name, first_line(error))
            self._tracking.lose(self.run_ids[name], "log_points")
            return 0
        for past in past_reports(last) if last else ():
            losses = past.losses.items()
            self._tracking.log_evaluation(self.run_ids[name], past.step, past.metrics, losses)
        return last.step if last else 0

    def _ending_tags(self, step: int, status: Status) -> dict[str, str]:
        # Of one whose checkpoint cannot be read it is not known.
        known = step and status == "FINISHED"
        return _stopped_early(step < self._context.base.steps) if known else {}

    def _close(self, name: str, status: Status, tags: dict[str, str]) -> None:
        self._endings[name] = status, tags
        self._tracking.set_tags(self.run_ids[name], tags)
        self._tracking.finish(self.run_ids[name], status)

    def reported(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        """Log an evaluation and the losses before it."""
        run_id = self.run_ids[run["name"]]
        self._tracking.log_evaluation(run_id, result[STEP], result["metrics"], result["losses"])
        value = result[VALUE]
        if result[STEP] >= self._context.base.steps and run["number"] is not None:
            self._best = max(self._best or (value, run["name"]), (value, run["name"]))
        synthetic = " (synthetic labels)" if self._context.data.dataset.is_synthetic else ""
        if result[STEP] <= self._resumed.get(run["name"], 0):
            # It was shown before the crash.
            return
        metric, best = self._context.metric, ""
        if self._best:
            best = f"   best finished {shown_value(metric, self._best[0])} ({self._best[1]})"
        self._say(
            run["name"],
            f"step {result[STEP]} of {self._context.base.steps}: "
            f"validation {metric} {shown_value(metric, value)}{synthetic}{best}",
        )

    def ended(self, run: dict[str, Any], result: dict[str, Any]) -> None:
        """Close the MLflow run and say how the run ended."""
        self._ended += 1
        if result.get("error"):
            what = last_line(result["error"])
            failure = {"run": run["name"], "error": what, "traceback": result["error"]}
            self.failures.append(failure)
            # A full disk may be what failed it.
            with suppress(StorageError):
                self._context.run_folder(run["name"]).write_json(FAILURE, failure)
            self._make_result(run["name"])
            self._close(run["name"], "FAILED", {})
            self._say(run["name"], f"failed: {what}")
            return
        stopped = result.get(STEP, 0) < self._context.base.steps
        self._make_result(run["name"])
        self._close(run["name"], "FINISHED", _stopped_early(stopped))
        how = "stopped early" if stopped else "finished"
        self._say(run["name"], f"{how} at step {result[STEP]} ({self._done})")

    def add_results(self) -> None:
        """Wait for the results of all runs that have ended, and log them to their MLflow runs.

        What MLflow lost of a run since it began is sent again, if it works by now.
        """
        failed = {failure["run"] for failure in self.failures}
        files: dict[str, list[str]] = {}
        with counter("results of runs") as progress:
            for done, (name, made) in enumerate(self._made.items(), 1):
                try:
                    files[name] = made.result()
                except Exception as error:
                    if name not in failed:
                        self.failures.append({"run": name, "error": first_line(error)})
                    continue
                self._log_files(name, files[name])
                progress(done, len(self._made))
        self._made.clear()
        # After the wait for results, in which MLflow may have come back.
        for name, (status, _) in self._endings.items():
            self._send_lost(name, files.get(name, []))
            # A failed one may go on, and its tag would be taken for that of the whole run.
            whole = name in files and status == "FINISHED"
            if whole and not self._tracking.lost(self.run_ids[name]):
                self._tracking.set_tags(self.run_ids[name], {COMPLETE: "true"})
            if self._tracking.lost(self.run_ids[name]):
                self.lacking.append(name)

    def _send_lost(self, name: str, files: list[str]) -> None:
        lost = self._tracking.lost(self.run_ids[name])
        if not lost or self._tracking.is_away:
            return
        status, tags = self._endings[name]
        self._tracking.forget_lost(self.run_ids[name])
        if "start_run" in lost:
            self._open(self._runs[name])
        # They are in the checkpoint, which is large.
        if "log_points" in lost:
            step = self._log_curves(name)
            tags = tags or self._ending_tags(step, status)
        if "log_files" in lost:
            self._log_files(name, files)
        self._close(name, status, tags)

    def _log_files(self, name: str, files: list[str]) -> None:
        self._tracking.log_files(self.run_ids[name], self._context.run_folder(name), files)

    def _make_result(self, name: str) -> None:
        # A finished run has made it; one that was stopped early or lost its process has not.
        self._made[name] = self._results.submit(make_run_result, self._context, name)

    def _say(self, name: str, what: str) -> None:
        line = f"[{time.monotonic() - self._begun:5.0f} s] {name}  {what}"
        print(printable(line), flush=True)


def _stopped_early(stopped: bool) -> dict[str, str]:
    return {"stopped_early": str(stopped).lower()}


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return textwrap.shorten(str(json_safe(value)), 30, placeholder=" …")
