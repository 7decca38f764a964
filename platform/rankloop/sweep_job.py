"""What the jobs that sweep share: options, the place of the result, the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from rankloop.command_line import JobOptions, at_least, refuse_swept
from rankloop.errors import ConfigError
from rankloop.methods.configuration import make_config
from rankloop.methods.method import Method
from rankloop.storage import open_folder
from rankloop.training.experiment import check_weights, prepare_data, result_folder
from rankloop.tuning.report import sweep_report
from rankloop.tuning.sweep import SweepPlan, run_sweep


@dataclass(frozen=True)
class SweepOptions(JobOptions):
    """Options of the jobs that sweep; --workers is the number of trials at once."""

    trials: int = 20
    """Number of trials, the paper's configuration included."""
    evaluations: int = 9
    """How often a trial is evaluated; it may be stopped after the 1st, the 3rd, the 9th ..."""


def check_sweep(method: Method, options: Any, searched: ModuleType) -> None:
    """Refuse what a sweep would ignore or cannot do.

    Raises:
        ConfigError: names the option, its value and the limit.
    """
    at_least(0, data_workers=options.data_workers or 0)
    at_least(1, workers=options.workers, trials=options.trials, evaluations=options.evaluations)
    refuse_swept(options.config, searched.PAPER, options.smoke, method=method.name)


def first_trial(options: Any, searched: ModuleType, choices: Mapping[str, str]) -> dict[str, Any]:
    """Return the paper's hyperparameters, or the first given where it is none of them.

    Args:
        options: of the job.
        searched: module of search_spaces.
        choices: option that lists values to choose from, to its hyperparameter.

    Raises:
        ConfigError: an option without a value.
    """
    paper = dict(searched.PAPER)
    for option, name in choices.items():
        given = getattr(options, option)
        if not given:
            raise ConfigError(f"--{option.replace('_', '-')} without a value: name at least one")
        if paper[name] not in given:
            paper[name] = given[0]
    return paper


def sweep(
    job: str,
    method: Method,
    options: Any,
    searched: ModuleType,
    *,
    chosen: Mapping[str, Any] | None = None,
    paper: Mapping[str, Any] | None = None,
) -> str:
    """Run a sweep, or go on with one that was cut off, print its report and return its folder.

    Args:
        job: name of the job, and of the folder of its results.
        method: what is trained.
        options: SweepOptions with the method's ``config``, checked by `check_sweep`.
        searched: a module of search_spaces, with ``space``, ``PAPER``, ``SUPERVISED``,
            ``BASELINE``, ``NOTE``.
        chosen: arguments of its ``space`` after the trial.
        paper: first trial where it is not ``PAPER``.

    Raises:
        ConfigError: initial weights cannot be had, or do not fit one of the chosen ``backbones``.
    """
    chosen = dict(chosen or {})
    identity = {
        "config": options.config.model_dump(mode="json"),
        "data": options.data,
        "trials": options.trials,
        "evaluations": options.evaluations,
        **chosen,
        # An edited search space is another sweep.
        "space": Path(str(searched.__file__)).read_text(),
    }
    prepared = prepare_data(options.data, method, options.config)
    values = options.config.model_dump()
    check_weights(
        method,
        [
            make_config(type(options.config), {**values, "backbone": backbone})
            for backbone in chosen.get("backbones", ())
        ],
    )
    folder = result_folder(options.storage, job, method.name, prepared, identity)
    storage = open_folder(options.storage)
    plan = SweepPlan(
        space=partial(searched.space, **chosen),
        paper=dict(paper or searched.PAPER),
        supervised=searched.SUPERVISED,
        baseline=searched.BASELINE,
        note=searched.NOTE,
        trials=options.trials,
        at_once=options.workers,
        seed=options.data.seed,
        evaluations=options.evaluations,
        registered=not options.smoke,
        data_workers=options.data_workers,
    )
    result = run_sweep(method.name, options.config, prepared, folder, storage, plan)
    print(sweep_report(result, folder, storage))
    return str(folder)
