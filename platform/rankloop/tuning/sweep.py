"""A sweep: trials over Ray Tune and Optuna, side by side in MLflow, ending in one winner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from rankloop.cluster import connected, data_workers_per_gpu, gpus_per_run
from rankloop.errors import CheckpointError, ConfigError, SweepError
from rankloop.locking import locked
from rankloop.methods import find_method
from rankloop.metrics import UNDEFINED
from rankloop.plots.sweep_plots import optimization_history, parameter_importance
from rankloop.storage import Folder
from rankloop.streams.shared_images import share_images
from rankloop.tracking import Tracking, data_tags, open_tracking
from rankloop.training.checkpoints import load_latest
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import Prepared, write_result
from rankloop.training.final import FinalModel, final_model
from rankloop.training.loop import Schedule
from rankloop.training.publishing import publish
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.runs import train_runs
from rankloop.tuning.study import Space, best_trial, open_study
from rankloop.tuning.successive_halving import DurableSuccessiveHalving
from rankloop.tuning.suggestions import Run, StudyRuns, run_name
from rankloop.tuning.watcher import TrackingWatcher

PAPER_SUPERVISED = "paper-supervised"


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep does, besides its method and data.

    Attributes:
        space: draws a trial's hyperparameters.
        paper: hyperparameters of the first trial.
        supervised: values that turn off what the method adds. The paper's and the best
            configuration are trained with them too, at full budget, to show what it adds.
        baseline: what is left then, for the report.
        note: what a reader of the report must know of the paper's values.
        trials: number of trials.
        at_once: trials that run at once.
        seed: seed of the suggestions and of every run.
        evaluations: how often a run is evaluated within its budget.
        registered: whether the winner becomes the newest version of the registered model.
        data_workers: Ray Data tasks per stream and run; None for as many as keep a GPU fed, and
            none without GPUs.
    """

    space: Space
    paper: Mapping[str, Any]
    supervised: Mapping[str, Any]
    baseline: str
    note: str
    trials: int
    at_once: int
    seed: int
    evaluations: int = 9
    registered: bool = True
    data_workers: int | None = None


def run_sweep(
    method: str, base: Any, prepared: Prepared, folder: Folder, storage: Folder, plan: SweepPlan
) -> dict[str, Any]:
    """Run a sweep, or go on with one that was cut off, and return its result.

    Raises:
        SweepError: no trial finished.
        LockedError: another driver is at work on this sweep.
    """
    with locked(folder), connected():
        tracking = open_tracking(storage)
        study = open_study(folder / "study", dict(plan.paper))
        every = max(1, base.steps // plan.evaluations)
        context = RunContext(
            method=method,
            base=base,
            data=share_images(prepared.data, prepared.array),
            folder=folder,
            schedule=Schedule(evaluate_every=every, checkpoint_every=every),
            metric=selection_metric(find_method(method), prepared.data.dataset),
            gpus=gpus_per_run(),
            data_workers=(
                data_workers_per_gpu() if plan.data_workers is None else plan.data_workers
            ),
        )
        parent = tracking.start_run(
            method,
            f"sweep {folder.name}",
            key=str(folder),
            params={
                **{
                    name: value
                    for name, value in base.model_dump(mode="json").items()
                    if name not in plan.paper
                },
                "trials": plan.trials,
                "seed": plan.seed,
            },
            tags=data_tags(prepared.data.dataset),
        )
        with tracking.ending(parent):
            ended = (TrialState.COMPLETE, TrialState.PRUNED)
            done = len(study.get_trials(deepcopy=False, states=ended))
            before = f"; {done} trials were done before" if done else ""
            print(
                f"{plan.trials} trials, and the paper's and the best configuration with "
                f"{_shown(plan.supervised)} beside{before}",
                flush=True,
            )
            watcher = TrackingWatcher(tracking, context, parent, plan.trials + 2, done)
            baseline = Run(PAPER_SUPERVISED, {**plan.paper, **plan.supervised}, plan.seed)
            try:
                train_runs(
                    context,
                    StudyRuns(
                        study,
                        plan.space,
                        trials=plan.trials,
                        steps=base.steps,
                        seed=plan.seed,
                        beside=watcher.unfinished([baseline]),
                        after=lambda: watcher.unfinished(
                            _runs_after(context, plan, best_trial(study))
                        ),
                    ),
                    at_once=plan.at_once,
                    watcher=watcher,
                    scheduler=DurableSuccessiveHalving(study, first_rung=every, steps=base.steps),
                )
            except SweepError:
                # Of trials that have finished before there is a result, whatever failed again.
                if best_trial(study) is None:
                    raise
            best = best_trial(study)
            if best is None:
                first = next(iter(watcher.failures), {})
                why = first.get("traceback", "see the result folders of its runs")
                raise SweepError(f"none of {plan.trials} trials finished; {why}")
            if best.value == UNDEFINED:
                raise SweepError(
                    f"validation {context.metric} is undefined for every trial: all scores or all "
                    "labels are equal; give more labelled data or more --steps"
                )
            for trial in study.get_trials(deepcopy=False):
                if trial.state.is_finished():
                    run = Run(run_name(trial.number), trial.params, plan.seed, trial.number)
                    watcher.ended_before(run.as_config(), trial.state == TrialState.FAIL)
            watcher.add_results()
            winner = _final(context, prepared, run_name(best.number), best.params)
            result = _conclude(context, prepared, plan, study, best, winner, watcher)
            _track(tracking, parent, context, prepared, plan, study, winner, result)
            page = tracking.comparison_url(parent, list(watcher.run_ids.values()))
            result["mlflow_comparison"] = page
        result["mlflow_lacks"] = bool(watcher.lacking or tracking.lost(parent))
        return result


def _runs_after(context: RunContext, plan: SweepPlan, best: FrozenTrial | None) -> list[Run]:
    """Runs that the report needs besides the study's, or whose last checkpoint was damaged."""
    if best is None or best.value == UNDEFINED:
        return []
    runs = []
    needed: list[tuple[str, Mapping[str, Any]]] = [
        (run_name(best.number), best.params),
        (run_name(0), plan.paper),
    ]
    if best.number:
        values = {**best.params, **plan.supervised}
        runs.append(Run(_supervised_name(best), values, plan.seed))
    for name, given in needed:
        last = load_latest(context.run_folder(name) / "checkpoints")
        if last is not None and last.step < context.base.steps:
            runs.append(Run(name, dict(given), plan.seed))
    return runs


def _conclude(
    context: RunContext,
    prepared: Prepared,
    plan: SweepPlan,
    study: optuna.Study,
    best: FrozenTrial,
    winner: FinalModel,
    watcher: TrackingWatcher,
) -> dict[str, Any]:
    metrics = {"best": winner.metrics}
    for role, name, values in (
        ("best_supervised", _supervised_name(best), {**best.params, **plan.supervised}),
        ("paper", run_name(0), plan.paper),
        ("paper_supervised", PAPER_SUPERVISED, {**plan.paper, **plan.supervised}),
    ):
        try:
            metrics[role] = _final(context, prepared, name, values).metrics
        except (CheckpointError, ConfigError):
            # It failed; watcher.failures, which is in the result, says why.
            continue
    return write_result(
        context.folder,
        find_method(context.method),
        context.run_config(dict(best.params)),
        prepared.data.dataset,
        seeds=[plan.seed],
        metrics=metrics,
        more={
            "note": plan.note,
            "baseline": plan.baseline,
            "best_trial": best.number,
            "best_values": best.params,
            "paper_values": dict(plan.paper),
            "selection_metric": context.metric,
            "trials": _counts(study),
            "failures": watcher.failures,
        },
    )


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _supervised_name(best: FrozenTrial) -> str:
    return f"{run_name(best.number)}-supervised" if best.number else PAPER_SUPERVISED


def _final(
    context: RunContext, prepared: Prepared, name: str, values: Mapping[str, Any]
) -> FinalModel:
    return final_model(
        find_method(context.method),
        context.run_config(dict(values)),
        context.run_folder(name),
        prepared.data,
    )


def _track(
    tracking: Tracking,
    parent: str,
    context: RunContext,
    prepared: Prepared,
    plan: SweepPlan,
    study: optuna.Study,
    winner: FinalModel,
    result: dict[str, Any],
) -> None:
    figures = {
        "optimization_history.png": optimization_history(study, context.metric),
        "parameter_importance.png": parameter_importance(study),
    }
    method = find_method(context.method)
    registered = f"rankloop-{method.name}" if plan.registered else None
    publish(method, winner, prepared.data, context.folder, tracking, parent, figures, registered)
    tracking.log_files(parent, context.folder, ["result.json"])
    for role, splits in result["metrics"].items():
        tracking.log_metrics(
            parent,
            {f"{role}/{split}/{k}": v for split, found in splits.items() for k, v in found.items()},
        )


def _counts(study: optuna.Study) -> dict[str, int]:
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    return {
        "finished": states.count(TrialState.COMPLETE),
        "stopped_early": states.count(TrialState.PRUNED),
        "failed": states.count(TrialState.FAIL),
        "to_go_on_with": states.count(TrialState.RUNNING),
    }
