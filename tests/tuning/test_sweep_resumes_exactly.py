"""A sweep cut off at any moment goes on with the suggestions and decisions it would have had.

Training is replaced by tabulated curves (a pure function of hyperparameters and step), so that a
whole sweep takes a fraction of a second; suggestions, stopping and the durable study are the real
ones, driven in the order in which Ray Tune calls them.
"""

import math
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from rankloop.storage import Folder, open_folder
from rankloop.tuning.study import FolderJournal, best_trial, open_study, recorded
from rankloop.tuning.successive_halving import DurableSuccessiveHalving
from rankloop.tuning.suggestions import Run, StudyRuns

STEPS, EVERY, TRIALS, SEED = 90, 10, 12, 5
FIRST = {"x": 0.5, "y": 0.1}


class DriverKilledError(Exception):
    pass


class Countdown:
    """Kills the driver after a number of durable appends."""

    def __init__(self, study, appends):
        backend = study._storage._backend if hasattr(study._storage, "_backend") else None
        self.backend = backend
        self.left = appends
        self.append = backend.append_logs
        backend.append_logs = self

    def __call__(self, logs):
        if self.left == 0:
            raise DriverKilledError
        self.left -= 1
        self.append(logs)


def space(trial):
    return {
        "x": trial.suggest_float("x", 0.0, 1.0),
        "y": trial.suggest_float("y", 1e-3, 1.0, log=True),
    }


def curve(values, step):
    """A validation curve: how good it gets depends on x, how fast on y."""
    return (1.0 - abs(values["x"] - 0.3)) * (1.0 - math.exp(-step * (0.02 + values["y"])))


def drive(folder: Folder, at_once=1, appends=None, checkpoints=None):
    """Run a sweep as Ray Tune would, with trials of different speeds.

    Args:
        folder: the study's.
        at_once: trials that run at once.
        appends: durable appends before the driver is killed.
        checkpoints: run to the step it was trained to; outlives the driver, as files do.
    """
    checkpoints = {} if checkpoints is None else checkpoints
    study = open_study(folder, FIRST)
    if appends is not None:
        Countdown(study, appends)
    searcher = StudyRuns(
        study,
        space,
        trials=TRIALS,
        steps=STEPS,
        seed=SEED,
        beside=[Run("baseline", {"x": 0.0, "y": 0.5}, SEED)],
    )
    scheduler = DurableSuccessiveHalving(study, first_rung=EVERY, steps=STEPS)
    live = {}
    begun = 0

    def time_of_report(trial_id):
        config, step = live[trial_id]
        if checkpoints.get(config["name"]) == STEPS:
            # Trained before the driver died: it ends at once.
            return (0, 0)
        number = config["number"] or 0
        return ((step + EVERY) * (4 + number * 7 % 5), number)

    while True:
        while len(live) < at_once:
            config = searcher.suggest(f"tune-{begun}")
            if config == searcher.FINISHED:
                break
            # The last evaluation before the driver died is reported again.
            trained = max(0, checkpoints.get(config["name"], 0) - EVERY)
            live[f"tune-{begun}"] = [config, trained]
            begun += 1
        if not live:
            return study
        trial_id = min(live, key=time_of_report)
        config, step = live[trial_id]
        step += EVERY
        live[trial_id][1] = checkpoints[config["name"]] = step
        result = {"step": step, "value": curve(config["values"], step)}
        trial = SimpleNamespace(trial_id=trial_id, config=config)
        decision = scheduler.on_trial_result(None, trial, result)
        if decision == "STOP" or step == STEPS:
            searcher.on_trial_complete(trial_id, result)
            del live[trial_id]


def history(study):
    """Everything that was suggested and decided, by trial."""
    return [
        (trial.number, trial.params, trial.state, trial.value, recorded(trial))
        for trial in study.get_trials()
    ]


def test_early_stopping_saves_most_of_the_budget_and_keeps_the_best(tmp_path):
    study = drive(open_folder(str(tmp_path)))
    states = [trial.state for trial in study.get_trials()]
    assert len(states) == TRIALS
    assert states.count(TrialState.PRUNED) >= TRIALS // 3
    best = best_trial(study)
    assert best.value == max(t.value for t in study.get_trials() if t.state == TrialState.COMPLETE)


def test_the_papers_configuration_is_first_and_never_stopped(tmp_path):
    trials = drive(open_folder(str(tmp_path))).get_trials()
    assert trials[0].params == FIRST
    assert trials[0].state == TrialState.COMPLETE


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("appends", [*range(2, 30), 40, 55, 70, 85, 100])
def test_killed_after_any_append_it_ends_as_if_it_had_not_been(tmp_path, appends, at_once):
    whole = history(drive(open_folder(str(tmp_path / "whole")), at_once))
    folder, checkpoints = open_folder(str(tmp_path / "cut")), {}
    with pytest.raises(DriverKilledError):
        drive(folder, at_once, appends, checkpoints)
    assert history(drive(folder, at_once, checkpoints=checkpoints)) == whole


@pytest.mark.parametrize("at_once", [1, 2])
def test_killed_again_and_again_it_ends_as_if_it_had_not_been(tmp_path, at_once):
    whole = history(drive(open_folder(str(tmp_path / "whole")), at_once))
    folder, checkpoints = open_folder(str(tmp_path / "cut")), {}
    for _ in range(60):
        try:
            study = drive(folder, at_once, 7, checkpoints)
            break
        except DriverKilledError:
            continue
    assert history(study) == whole


def test_several_at_once_are_interleaved(tmp_path):
    one = history(drive(open_folder(str(tmp_path / "one"))))
    two = history(drive(open_folder(str(tmp_path / "two")), at_once=2))
    assert one != two


def test_another_seed_gives_other_suggestions(tmp_path, monkeypatch):
    one = drive(open_folder(str(tmp_path / "one"))).get_trials()
    monkeypatch.setattr("test_sweep_resumes_exactly.SEED", 6)
    two = drive(open_folder(str(tmp_path / "two"))).get_trials()
    assert one[0].params == two[0].params
    assert one[1].params != two[1].params


@pytest.mark.integration
def test_a_bucket_journal_reads_back_what_was_appended(s3_folder):
    bucket = open_folder(s3_folder)
    study = drive(bucket)
    assert isinstance(study._storage._backend, FolderJournal)
    assert history(open_study(bucket, FIRST)) == history(study)


def test_a_failed_trial_is_not_the_best(tmp_path):
    study = open_study(open_folder(str(tmp_path)), FIRST)
    searcher = StudyRuns(study, space, trials=2, steps=STEPS, seed=SEED)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"step": 0, "value": -1.0, "error": "NaN", "retry": False})
    searcher.suggest("b")
    searcher.on_trial_complete("b", {"step": STEPS, "value": 0.2})
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, TrialState.COMPLETE]
    assert best_trial(study).number == 1


def test_a_run_that_lost_its_machine_is_suggested_again(tmp_path):
    folder = open_folder(str(tmp_path))
    study = open_study(folder, FIRST)
    searcher = StudyRuns(study, space, trials=2, steps=STEPS, seed=SEED)
    first = searcher.suggest("a")
    searcher.on_trial_complete("a", None, error=True)
    again = StudyRuns(open_study(folder, FIRST), space, trials=2, steps=STEPS, seed=SEED)
    assert again.suggest("a") == first


def test_runs_after_all_trials_wait_for_them_and_for_nothing_else(tmp_path):
    study = open_study(open_folder(str(tmp_path)), FIRST)
    searcher = StudyRuns(
        study,
        space,
        trials=2,
        steps=STEPS,
        seed=SEED,
        beside=[Run("beside", {}, SEED)],
        after=lambda: [Run(f"after trial {best_trial(study).number}", {}, SEED)],
    )
    assert [searcher.suggest(name)["name"] for name in "abc"] == [
        "trial-0000",
        "beside",
        "trial-0001",
    ]
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("c", {"step": STEPS, "value": 0.3})
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("a", {"step": STEPS, "value": 0.2})
    assert searcher.suggest("d")["name"] == "after trial 1"
    assert searcher.suggest("e") == searcher.FINISHED


def test_optuna_reads_the_local_journal_by_itself(tmp_path):
    drive(open_folder(str(tmp_path)))
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
    storage = optuna.storages.JournalStorage(backend)
    assert len(optuna.load_study(study_name="sweep", storage=storage).trials) == TRIALS
