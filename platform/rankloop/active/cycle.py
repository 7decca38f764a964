"""One cycle of a campaign: train, evaluate, score the pool, select, ask, take the labels in."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rankloop.active.answer_notes import answer_notes
from rankloop.active.campaign import (
    ANSWERS,
    DONE,
    LABELS,
    SCORES,
    SELECTED,
    TRAINED,
    Campaign,
    share_of,
)
from rankloop.active.label_source import Answers, LabelSource
from rankloop.active.labels import answers_table, labels_of, labels_table
from rankloop.active.new_campaign import first_items
from rankloop.active.pool_scores import ItemScore, score_items, scores_table
from rankloop.active.selection import CANDIDATES, diverse_items, least_certain, random_items
from rankloop.cluster import data_workers_per_gpu, gpus_per_run
from rankloop.errors import CheckpointError, DataError
from rankloop.metrics import metric_title
from rankloop.randomness import derived_seed
from rankloop.storage import Folder, read_parquet, write_parquet
from rankloop.training.checkpoints import load_latest
from rankloop.training.distributed import train_distributed
from rankloop.training.evaluation import selection_metric
from rankloop.training.experiment import json_safe
from rankloop.training.final import final_model
from rankloop.training.loop import Report, Schedule

RUN = "run"
_SECONDS_BETWEEN_LINES = 5.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Resources:
    """What a cycle may use.

    Attributes:
        workers: data-parallel training workers; 0 trains in this process.
        data_workers: see `train_distributed`; None for as many as keep a GPU fed.
        scoring_workers: models that score the pool at once; None for what the cluster has room for,
            0 for the one of this process.
    """

    workers: int = 1
    data_workers: int | None = None
    scoring_workers: int | None = None


def run_cycle(
    campaign: Campaign,
    number: int,
    source: LabelSource,
    resources: Resources,
    *,
    asks: bool = True,
    enough: float = 1.0,
    tell: Tell = print,
) -> Answers | None:
    """Do what is left of a cycle; every step that is done is a file, and is not done again.

    Cycle 0 draws the items that are labelled at first, unless the data have labels; every other one
    trains on all labels so far, scores what has none, and asks.

    Args:
        campaign: the campaign.
        number: of the cycle; those before it are done.
        source: where labels come from.
        resources: for training and scoring.
        asks: False for the last cycle of a protocol, which only trains and evaluates.
        enough: share of the questions that must have a label.
        tell: told of every step, in one line.

    Returns:
        What came back, if labels are missing; None once the cycle is done.
    """
    folder = campaign.cycle(number)
    if folder.has(DONE):
        return None
    if number and not folder.has(TRAINED):
        _train(campaign, number, resources, tell)
    if not asks:
        return None
    if not folder.has(SELECTED):
        _select(campaign, number, resources, tell)
    questions = campaign.questions_of(campaign.selected(number))
    source.ask(campaign, number, questions)
    answers = source.answers(campaign, number, questions)
    if not folder.has(LABELS):
        if not _is_enough(campaign, number, answers, enough):
            return answers
        known = campaign.labels(number)
        new = {name: label for name, label in answers.labels.items() if known.get(name) != label}
        write_parquet(folder, ANSWERS, answers_table(answers.single))
        write_parquet(folder, LABELS, labels_table(new))
    new = labels_of(read_parquet(folder, LABELS))
    notes = answer_notes(campaign, answers)
    folder.write_json(
        DONE,
        {
            "labels": len(new),
            "late": len(set(new).difference(questions)),
            "not_shown": sorted(set(questions).difference(answers.asked)),
            "refused": [list(entry) for entry in answers.refused],
            "unusual": [list(entry) for entry in answers.unusual],
            "disagreements": [list(entry) for entry in answers.disagreements],
        },
    )
    tell("\n".join([f"cycle {number}: took in {len(new)} labels", *notes]))
    return None


def waits_for(campaign: Campaign, source: LabelSource, enough: float) -> Answers | None:
    """Return what came back of the last request if the campaign waits for more; reads files only.

    None if there is something to do.
    """
    number = campaign.cycles_done()
    folder = campaign.cycle(number)
    if not folder.has(SELECTED) or folder.has(LABELS):
        return None
    questions = campaign.questions_of(campaign.selected(number))
    answers = source.answers(campaign, number, questions)
    # Nothing is asked if the request is not written yet.
    if not answers.asked or _is_enough(campaign, number, answers, enough):
        return None
    return answers


def _is_enough(campaign: Campaign, number: int, answers: Answers, enough: float) -> bool:
    given, wanted = len(answers.asked) - len(answers.missing), len(answers.asked)
    # Shares such as 0.55 have no exact double.
    some = given >= enough * wanted - 1e-9
    return some and campaign.can_train({**campaign.labels(number), **answers.labels})


def run_folder(campaign: Campaign, number: int) -> Folder:
    """Folder of a cycle's training run."""
    return campaign.cycle(number) / RUN


def _train(campaign: Campaign, number: int, resources: Resources, tell: Tell) -> None:
    begun = time.monotonic()
    labels = campaign.labels(number)
    data, config = campaign.data(labels), campaign.config
    count = campaign.label_count(labels)
    tell(f"cycle {number}: trains on {count} labels")
    run, tenth = run_folder(campaign, number), max(1, config.steps // 10)
    data_workers = resources.data_workers

    metric = selection_metric(campaign.method, data.dataset)

    def report(found: Report) -> None:
        value = f"validation {metric_title(metric)} {found.metrics.get(metric, math.nan):.4f}"
        tell(f"cycle {number}: step {found.step} of {config.steps}, {value}")

    def count_workers(found: int) -> None:
        if found != resources.workers:
            tell(f"cycle {number}: {found} of {resources.workers} workers train")

    train_distributed(
        campaign.method,
        config,
        data,
        run,
        seed=derived_seed(campaign.plan.seed, "cycle", number),
        schedule=Schedule(evaluate_every=max(1, config.steps // 2), checkpoint_every=tenth),
        workers=resources.workers,
        data_workers=max(1, data_workers_per_gpu()) if data_workers is None else data_workers,
        use_gpu=gpus_per_run() > 0,
        start=run_folder(campaign, number - 1) if campaign.plan.warm_start and number > 1 else None,
        on_report=report,
        on_step=lambda done: tell(f"cycle {number}: step {done} of {config.steps}"),
        on_workers=count_workers,
        on_wait=lambda line: tell(f"cycle {number}: {line}"),
    )
    trained = time.monotonic()
    final = final_model(campaign.method, config, run, data)
    items = campaign.labelled_items(number)
    campaign.cycle(number).write_json(
        TRAINED,
        json_safe(
            {
                "metrics": final.metrics,
                "labelled_items": len(items),
                "labels": count,
                "share": len(items) / len(campaign.items) if campaign.items else 1.0,
                "seconds": {
                    "training": trained - begun,
                    "evaluation": time.monotonic() - trained,
                },
            }
        ),
    )


def _select(campaign: Campaign, number: int, resources: Resources, tell: Tell) -> None:
    plan, begun = campaign.plan, time.monotonic()
    pool = campaign.pool(number)
    if number == 0:
        chosen = first_items(campaign)
    else:
        count = share_of(len(campaign.items), plan.step)
        if plan.strategy == "random" or not pool:
            chosen = random_items(pool, count, seed=plan.seed, cycle=number)
        else:
            chosen = _least_certain(campaign, number, pool, count, resources, tell)
    campaign.cycle(number).write_json(
        SELECTED, {"items": chosen, "seconds": {"scoring": time.monotonic() - begun}}
    )
    tell(f"cycle {number}: selected {len(chosen)} of {len(pool)} items")


def _least_certain(
    campaign: Campaign,
    number: int,
    pool: list[str],
    count: int,
    resources: Resources,
    tell: Tell,
) -> list[str]:
    plan, folder = campaign.plan, campaign.cycle(number)
    checkpoint = load_latest(run_folder(campaign, number) / "checkpoints", training=False)
    if checkpoint is None:
        raise CheckpointError(f"{run_folder(campaign, number)} lost its checkpoint")

    def scores(names: Sequence[str], with_features: bool) -> list[ItemScore]:
        found: list[ItemScore] = []
        told = time.monotonic()
        for some in score_items(
            checkpoint,
            [campaign.items[name] for name in names],
            campaign.data({}),
            seed=plan.seed,
            workers=resources.scoring_workers,
            pairs=plan.pairs,
            with_features=with_features,
            on_wait=lambda line: tell(f"cycle {number}: {line}"),
        ):
            found += some
            if len(found) == len(names) or time.monotonic() - told > _SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                tell(f"cycle {number}: scored {len(found)} of {len(names)} items")
        return found

    if not folder.has(SCORES):
        found = scores(pool, with_features=False)
        if all(score.error for score in found):
            raise DataError(
                f"none of the {len(found)} items that are left can be scored, the first since "
                f"{found[0].error}: bring the images back"
            )
        write_parquet(folder, SCORES, scores_table(found))
    table = read_parquet(folder, SCORES).to_pylist()
    certainties = {row["item"]: row["certainty"] for row in table if row["error"] is None}
    if plan.strategy == "certainty":
        return least_certain(certainties, count, seed=plan.seed, cycle=number)
    candidates = least_certain(certainties, CANDIDATES * count, seed=plan.seed, cycle=number)
    asked = sorted(set(campaign.items).difference(pool))
    features = {
        score.name: score.features
        for score in scores([*candidates, *asked], with_features=True)
        if not score.error
    }
    near = [features[name] for name in asked if name in features]
    return diverse_items(certainties, features, near, count, seed=plan.seed, cycle=number)
