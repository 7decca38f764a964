"""Runs in MLflow, found again by key, so that a job that goes on makes no second ones."""

import functools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec
from urllib.parse import quote

from rankloop.storage import Folder
from rankloop.tracking.location import Location
from rankloop.tracking.names import flat_params, quoted_key, valid_name
from rankloop.tracking.server import Server

KEY_TAG = "rankloop.key"
# Of runs that MLflow has whole.
COMPLETE = "rankloop.complete"
PARENT_TAG = "mlflow.parentRunId"
# MLflow's own limits.
BATCH = 1000
PARAMS_BATCH = 100

Status = Literal["FINISHED", "FAILED", "KILLED"]

_P = ParamSpec("_P")


def _forgiving(
    action: "Callable[Concatenate[Tracking, str, _P], None]",
) -> "Callable[Concatenate[Tracking, str, _P], None]":
    # The one place where failures of MLflow after its opening end.
    @functools.wraps(action)
    def attempt(self: "Tracking", run_id: str, *args: _P.args, **kwargs: _P.kwargs) -> None:
        if not run_id:
            return
        if self.is_away:
            self.lose(run_id, action.__name__)
            return
        try:
            action(self, self._opened(run_id), *args, **kwargs)
            self._server.worked()
        except Exception as error:
            # Some of it may have arrived.
            self._steps.pop(self._ids.get(run_id, run_id), None)
            self.lose(run_id, action.__name__)
            self._server.failed(error)

    return attempt


class Tracking:
    """Runs in MLflow, by run id; see `open_tracking`.

    A failure of MLflow is logged once as a warning, and work goes on without it: the result
    folders hold everything. While a server is away nothing is sent, nor waited for but a short look
    now and then; callers send again what it may lack, see `lost`. A run that could not be
    opened has a stand-in for its id, and is opened by the next call about it that can. With the id
    ``""`` every method does nothing.

    Args:
        client: MLflow's.
        location: where the runs are.
        away: why nothing is there yet, if a server does not answer.

    Attributes:
        uri: where the runs are, without a password.
    """

    def __init__(self, client: Any, location: Location, away: Exception | None = None) -> None:
        self.uri = location.shown
        self._client = client
        self._location = location
        self._server = Server(client, location)
        # Stand-in -> what opens the run, and then its id.
        self._unopened: dict[str, _Wanted] = {}
        self._ids: dict[str, str] = {}
        # Run id, or a stand-in without one -> see `lost`.
        self._lost: dict[str, set[str]] = {}
        self._experiments: dict[str, str] = {}
        self._experiment_of: dict[str, str] = {}
        # Run id -> metric name -> steps that MLflow has.
        self._steps: dict[str, dict[str, set[int]]] = {}
        if away is not None:
            self._server.failed(away)

    def comparison_url(self, parent: str, children: Sequence[str]) -> str:
        """Return the page that compares runs, with parallel coordinates.

        Without a server it is there once `ui_command` runs. Empty if MLflow has none of the runs.

        Args:
            parent: the run that they are children of, opened by this object.
            children: ids of the runs to compare.
        """
        ids = [self._ids.get(child, child) for child in children if child not in self._unopened]
        known = [child for child in ids if child]
        if not known:
            return ""
        runs = json.dumps(known, separators=(",", ":"))
        experiments = json.dumps([self._experiment_of.get(self._ids.get(parent, parent), "")])
        query = f"runs={quote(runs)}&experiments={quote(experiments)}"
        return f"{self._location.base_url}/#/compare-runs?{query}"

    def start_run(
        self,
        experiment: str,
        name: str,
        *,
        key: str,
        parent: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Open the run of that key, or create it, and return its id, or a stand-in for now.

        Args:
            experiment: created if there is none of that name.
            name: shown in tables.
            key: says which run this is, also to a driver that goes on after a crash.
            parent: id of the run under which it is shown.
            params: see `log_params`.
            tags: see `set_tags`.
        """
        stand_in = f"unopened {key}"
        wanted = _Wanted(experiment, name, quoted_key(key), parent, dict(params or {}), tags or {})
        known = self._ids.pop(stand_in, None)
        self._unopened[stand_in] = wanted
        run_id = self.run_id(stand_in)
        if known and not run_id:
            # Of a run opened before, whose id callers may keep.
            self.lose(known, "start_run")
        return run_id or stand_in

    def run_id(self, run: str) -> str:
        """Return the id of a run that may have a stand-in; ``""`` where it cannot be opened now."""
        if not run or self.is_away:
            return ""
        try:
            run_id = self._opened(run)
        except Exception as error:
            self._server.failed(error)
            return ""
        self._server.worked()
        return run_id

    def _opened(self, run: str) -> str:
        wanted = self._unopened.get(run)
        if wanted is None:
            return self._ids.get(run, run)
        tags = dict(wanted.tags)
        if wanted.parent:
            tags[PARENT_TAG] = self._opened(wanted.parent)
        run_id = self._find_or_create(wanted.experiment, wanted.name, wanted.key)
        try:
            self._set_tags(run_id, tags)
            self._log_params(run_id, wanted.params)
            self._lost.get(run_id, set()).discard("start_run")
        except Exception as error:
            if self._server.failed(error):
                # Once more when it is back.
                raise
            self.lose(run, "start_run")
        del self._unopened[run]
        self._ids[run] = run_id
        if run in self._lost:
            self._lost.setdefault(run_id, set()).update(self._lost.pop(run))
        return run_id

    def lose(self, run: str, what: str) -> None:
        """Take in that MLflow lacks something of a run; see `lost`.

        Args:
            run: its id or stand-in.
            what: name of the method whose call failed, or what else is missing.
        """
        self._lost.setdefault(self._ids.get(run, run), set()).add(what)

    def lost(self, run: str) -> set[str]:
        """Return the names of the methods here of which a call about a run failed or was left out,
        and what else `lose` was told of.

        MLflow may lack what they sent, until that is sent again: see `forget_lost`.
        """
        unopened = {"start_run"} if run in self._unopened else set()
        return unopened | self._lost.get(self._ids.get(run, run), set())

    def forget_lost(self, run: str) -> None:
        """Forget what a run lost, before all of it is sent again."""
        self._lost.pop(self._ids.get(run, run), None)

    @property
    def is_away(self) -> bool:
        """Whether the server is away, as far as the last look tells."""
        return self._server.is_away

    def has_tag(self, experiment: str, key: str, tag: str) -> bool:
        """Whether there is a finished run of that key with a tag; False where MLflow fails."""
        if self.is_away:
            return False
        try:
            run = self._find(self._experiment_id(experiment), quoted_key(key))
        except Exception as error:
            self._server.failed(error)
            return False
        return run is not None and run.info.status == "FINISHED" and tag in run.data.tags

    def _find(self, experiment_id: str, key: str) -> Any | None:
        found = self._client.search_runs(
            [experiment_id], f"tags.`{KEY_TAG}` = '{key}'", max_results=1
        )
        return found[0] if found else None

    def _find_or_create(self, experiment: str, name: str, key: str) -> str:
        experiment_id = self._experiment_id(experiment)
        found = self._find(experiment_id, key)
        if found is not None:
            run_id = str(found.info.run_id)
            self._client.update_run(run_id, status="RUNNING")
        else:
            run = self._client.create_run(experiment_id, run_name=name, tags={KEY_TAG: key})
            run_id = str(run.info.run_id)
            self._steps[run_id] = {}
        self._experiment_of[run_id] = experiment_id
        return run_id

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                try:
                    created = self._client.create_experiment(name, self._location.artifacts)
                    return self._experiments.setdefault(name, created)
                except Exception:
                    # Another driver may have created it since.
                    found = self._client.get_experiment_by_name(name)
                    if found is None:
                        raise
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            self._experiments[name] = found.experiment_id
        return self._experiments[name]

    @_forgiving
    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Log parameters as columns; nested ones get dotted names, lists are written as JSON.

        MLflow never changes a parameter: those it has keep their value.
        """
        self._log_params(run_id, params)

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        known = self._client.get_run(run_id).data.params
        new = [
            Param(name, value)
            for name, value in flat_params(params).items()
            if known.get(name) is None
        ]
        for start in range(0, len(new), PARAMS_BATCH):
            self._client.log_batch(run_id, params=new[start : start + PARAMS_BATCH])

    @_forgiving
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, replacing those of the same name."""
        self._set_tags(run_id, tags)

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        if tags:
            self._client.log_batch(run_id, tags=[RunTag(name, tags[name]) for name in tags])

    @_forgiving
    def log_points(self, run_id: str, points: Iterable[tuple[str, float, int]]) -> None:
        """Log (name, value, step) points of curves; those that MLflow has are left out."""
        from mlflow.entities import Metric

        steps = self._known_steps(run_id)
        new: dict[tuple[str, int], float] = {}
        for name, value, step in points:
            if step not in steps.get(valid_name(name), ()):
                new.setdefault((valid_name(name), int(step)), float(value))
        now = _milliseconds()
        metrics = [Metric(name, value, now, step) for (name, step), value in new.items()]
        for start in range(0, len(metrics), BATCH):
            batch = metrics[start : start + BATCH]
            self._client.log_batch(run_id, metrics=batch)
            for metric in batch:
                steps.setdefault(metric.key, set()).add(metric.step)

    def log_evaluation(
        self,
        run_id: str,
        step: int,
        metrics: Mapping[str, float],
        losses: Iterable[tuple[int, Mapping[str, float]]],
    ) -> None:
        """Log an evaluation's validation metrics and the loss terms of the steps before it.

        Args:
            run_id: the run.
            step: training steps done.
            metrics: validation metrics by name.
            losses: step, counted from 0, and its loss terms by name.
        """
        points = [
            (f"loss/{name}", value, before + 1)
            for before, terms in losses
            for name, value in terms.items()
        ]
        points += [(f"validation/{name}", value, step) for name, value in metrics.items()]
        self.log_points(run_id, points)

    def _known_steps(self, run_id: str) -> dict[str, set[int]]:
        if run_id not in self._steps:
            self._steps[run_id] = {
                name: {point.step for point in self._client.get_metric_history(run_id, name)}
                for name in self._client.get_run(run_id).data.metrics
            }
        return self._steps[run_id]

    @_forgiving
    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log final values, which have no step; values that MLflow has are left out."""
        from mlflow.entities import Metric

        known = self._client.get_run(run_id).data.metrics
        now = _milliseconds()
        new = [
            Metric(valid_name(name), float(value), now, 0)
            for name, value in metrics.items()
            if not _same(known.get(valid_name(name)), float(value))
        ]
        for start in range(0, len(new), BATCH):
            self._client.log_batch(run_id, metrics=new[start : start + BATCH])

    @_forgiving
    def log_files(self, run_id: str, folder: Folder, names: Sequence[str]) -> None:
        """Log files of a folder under their names (``result.json``, ``plots/scores.png``)."""
        with tempfile.TemporaryDirectory(prefix="rankloop-artifacts-") as scratch:
            for name in names:
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(folder.read_bytes(name))
            self._client.log_artifacts(run_id, scratch)

    @contextmanager
    def ending(self, run_id: str) -> Iterator[None]:
        """Close a run as finished after the block, or as failed if it raises."""
        try:
            yield
        except BaseException:
            self.finish(run_id, "FAILED")
            raise
        self.finish(run_id, "FINISHED")

    @property
    def store(self) -> str:
        """MLflow's tracking URI, with its password if it has one: never print it."""
        return self._location.uri

    @_forgiving
    def finish(self, run_id: str, status: Status) -> None:
        """Say how a run ended."""
        self._steps.pop(run_id, None)
        self._client.set_terminated(run_id, status)


@dataclass(frozen=True)
class _Wanted:
    """What opens a run."""

    experiment: str
    name: str
    key: str
    parent: str | None
    params: Mapping[str, Any]
    tags: Mapping[str, str]


def _same(known: float | None, value: float) -> bool:
    return known == value or (known is not None and math.isnan(known) and math.isnan(value))


def _milliseconds() -> int:
    return int(time.time() * 1000)
