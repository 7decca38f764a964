#!/usr/bin/env python
"""Ask for the labels that help most, cycle after cycle."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

import tyro

from rankloop.active.answer_folder import SETTLED_SECONDS, AnswerFolder
from rankloop.active.campaign import PLAN, Campaign, Labelling, Plan, described, open_campaign
from rankloop.active.certainty import PAIRS
from rankloop.active.conductor import Orders, drive_by_actor
from rankloop.active.cycle import Resources, waits_for
from rankloop.active.new_campaign import create_campaign
from rankloop.active.report import round_report, status_report
from rankloop.active.selection import Strategy
from rankloop.active.view import show
from rankloop.command_line import JobOptions, at_least, method_name, parse, run_job
from rankloop.datasets.readers import shown_sources
from rankloop.errors import ConfigError, LockedError
from rankloop.methods import find_method
from rankloop.storage import Folder, open_folder
from rankloop.training.experiment import prepare_data

DESCRIPTION = """Train METHOD, find the images whose versions it ranks least rightly, ask for their
labels, take them in, and go on. The certainty of an image is the share of pairs of its worsened
versions that the scorer puts into the right order.

  --cycles T   the papers' protocol: labels of the training data are held out and given when asked
               for; cycle 0 draws --start-share of the items, cycles 1 to T train and ask about
               --cycle-share more each, and cycle T + 1 trains on all of them
  --round      one scheduled step: takes in the answers that have come, trains and asks anew if
               there are enough, else says what is missing; safe every hour, also twice at once
  --status     where a campaign stands
  --resync     write what is in the campaign's folder to MLflow again

rankiqa asks for scores: items are images, or, where the data name distortions, all levels of a
distortion of a reference image. counting asks where heads are. ssranking asks which of two images
is better: items are pairs, drawn once: images without a score in a random circle, each with the
next. Campaigns in one --storage that differ in --name and --strategy alone are shown together.

Examples:
  python jobs/active_learning.py rankiqa --cycles 9 --data tid2013:TID2013 waterloo:WATERLOO
  python jobs/active_learning.py rankiqa --cycles 9 --data clive:CLIVE --strategy random
  python jobs/active_learning.py rankiqa --round --data clive:CLIVE folder:photos
  python jobs/active_learning.py ssranking --round --data pairs:votes.csv folder:photos
  python jobs/active_learning.py counting --round --data shanghaitech:part_A folder:crowds
  python jobs/active_learning.py rankiqa --status

A round's request is a folder with images, form.csv and instructions; answers are dropped into its
answers/. Running the same command again goes on after any crash. The last line printed is the
campaign's folder."""


# Options that decide which image is in which split and what its label is.
_SPLITTING = ("source_pattern", "split", "crops_per_photo", "labels", "label_error_rate")

SMOKE = {
    "cycles": 2,
    "start_share": 0.2,
    "cycle_share": 0.2,
    "workers": 0,
    "scoring_workers": 0,
}


@dataclass(frozen=True)
class ActiveOptions(JobOptions):
    """Options of jobs/active_learning.py."""

    method: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="METHOD")]] = "rankiqa"
    """Method to train: rankiqa, qcn, gol, ssranking or counting."""
    name: str = "campaign"
    """Name of the campaign: its folder within --storage."""
    cycles: int | None = None
    """Cycles of the papers' protocol. The papers: 9."""
    round: tyro.conf.FlagCreatePairsOff[bool] = False
    """Do one scheduled step."""
    status: tyro.conf.FlagCreatePairsOff[bool] = False
    """Say where the campaign stands."""
    resync: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the campaign to MLflow again."""
    strategy: Strategy = "certainty"
    """What is asked about: the least certain items, some at random (the baseline), or diverse ones
    among the least certain."""
    start_share: float = 0.1
    """Share of the items that are labelled at first, in (0, 1]. The papers: 0.1."""
    cycle_share: float = 0.1
    """Share of the items that each cycle asks about, in (0, 1]. The papers: 0.1."""
    certainty_pairs: int = PAIRS
    """Pairs K that certainty is measured on. The papers: 100."""
    enough: float = 1.0
    """Share of what was asked about that must have an answer before a round goes on."""
    from_scratch: tyro.conf.FlagCreatePairsOff[bool] = False
    """Begin every cycle with new weights, rather than those of the cycle before."""
    settled_seconds: float = SETTLED_SECONDS
    """Answers that were changed within so many seconds are left for the next round."""
    scoring_workers: int | None = None
    """Models that score the pool at once; by default what the machine or cluster has room for; 0
    scores in the driving actor itself."""
    workers: int = 1
    """Data-parallel training workers; 0 trains in the driving actor itself, without Ray Train and
    Ray Data: the fastest way for a small network on one machine's CPU."""


def main() -> str:
    """Run the job and return the campaign's folder."""
    name = method_name(sys.argv[1:], default="rankiqa")
    options = parse(
        ActiveOptions,
        DESCRIPTION,
        method=name,
        smoke=SMOKE,
    )
    _check(options)
    storage = open_folder(options.storage)
    folder = storage / "active_learning" / options.name
    source = AnswerFolder(options.settled_seconds)
    if options.status or options.resync:
        campaign = open_campaign(folder)
        if options.resync:
            show(campaign, storage, everything=True)
        asks_people = campaign.plan.labelling == "folder"
        waited_for = waits_for(campaign, source, options.enough) if asks_people else None
        if waited_for is not None:
            print(round_report(campaign, waited_for, source))
        print(status_report(campaign, storage))
        return str(folder)
    labelling: Labelling = "folder" if options.round else "held_out"
    orders = Orders(
        cycles=None if options.round else options.cycles,
        resources=Resources(options.workers, options.data_workers, options.scoring_workers),
        enough=options.enough,
        settled_seconds=options.settled_seconds,
    )
    try:
        campaign = _campaign(folder, options, labelling)
        # Rounds that wait for people are many: they need no Ray.
        answers = waits_for(campaign, source, options.enough) if options.round else None
        if answers is None:
            answers = drive_by_actor(folder, storage, orders, lambda line: print(line, flush=True))
    except LockedError:
        if not options.round:
            raise
        print(f"nothing to do: another driver is at work in {folder}")
        return str(folder)
    if options.round:
        print(round_report(campaign, answers, source))
    print(status_report(campaign, storage))
    return str(folder)


def _check(options: Any) -> None:
    at_least(0, workers=options.workers, data_workers=options.data_workers or 0)
    at_least(1, certainty_pairs=options.certainty_pairs)
    at_least(0, scoring_workers=options.scoring_workers or 0)
    others = sum([options.round, options.status, options.resync])
    if others + (options.cycles is not None and not (options.smoke and others)) != 1:
        raise ConfigError("give one of --cycles T, --round, --status, --resync")
    if options.cycles is not None:
        at_least(1, cycles=options.cycles)
    for field in ("start_share", "cycle_share", "enough"):
        value = getattr(options, field)
        if not 0.0 < value <= 1.0:
            raise ConfigError(
                f"--{field.replace('_', '-')} {value} is outside (0, 1]: give a share"
            )


def _campaign(folder: Folder, options: Any, labelling: Labelling) -> Campaign:
    method, config = find_method(options.method), options.config

    def plan(dataset: Any) -> Plan:
        return Plan(
            method=method.name,
            config=config.model_dump(mode="json"),
            strategy=options.strategy,
            labelling=labelling,
            start=options.start_share,
            step=options.cycle_share,
            seed=options.data.seed,
            warm_start=not options.from_scratch,
            pairs=options.certainty_pairs,
            dataset=dataset,
            options={name: getattr(options.data, name) for name in _SPLITTING},
        )

    if folder.has(PLAN):
        # The images are those of the beginning: they need not be read again every night.
        known = open_campaign(folder)
        sources = shown_sources(options.data.data)
        if known.plan.dataset["name"] != sources:
            raise ConfigError(
                f"{folder} is a campaign on {known.plan.dataset['name']}, not on {sources}: give "
                "the data that it began with, or another --name"
            )
        return create_campaign(folder, plan(known.plan.dataset), known.dataset)
    dataset = prepare_data(options.data, method, config).data.dataset
    if labelling == "folder" and dataset.is_synthetic:
        raise ConfigError(
            "nothing is labelled, so that no round could be measured: add some labelled images, "
            "for example csv:FILE?higher_is_better=true"
        )
    return create_campaign(folder, plan(described(dataset)), dataset)


if __name__ == "__main__":
    run_job(main)
