#!/usr/bin/env python
"""Train one configuration of a method."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

import tyro

from rankloop.command_line import JobOptions, at_least, method_name, parse, run_job
from rankloop.methods import find_method
from rankloop.storage import open_folder
from rankloop.training.experiment import check_weights, prepare_data, result_folder
from rankloop.training.loop import Schedule
from rankloop.training.single import run_training
from rankloop.tuning.report import training_report

DESCRIPTION = """Train one configuration of METHOD (ssranking, rankiqa, qcn, gol or counting) and
evaluate it on validation and test data. Each METHOD has options of its own, which --help after it
lists.

Examples:
  python jobs/train.py qcn --help
  python jobs/train.py ssranking --smoke
  python jobs/train.py ssranking --data pairs:labels.csv folder:photos --steps 5000
  python jobs/train.py ssranking --data folder:photos --workers 4 --learning-rate 0.01
  python jobs/train.py rankiqa --data clive:CLIVE folder:photos
  python jobs/train.py qcn --data koniq10k:KONIQ
  python jobs/train.py gol --data clive:CLIVE --split 80-20 --backbone resnet18
  python jobs/train.py counting --data shanghaitech:part_A folder:crowds

Running the same command again goes on from the last checkpoint, also after kill -9. Results are in
a folder within --storage, whose path is the last line printed: checkpoint (for jobs/score.py),
result.json, plots."""


@dataclass(frozen=True)
class TrainOptions(JobOptions):
    """Options of jobs/train.py."""

    workers: int = 1
    """Data-parallel workers, which share the rows of every step; 0 trains in the job's own process,
    without Ray Train and Ray Data: the fastest way for a small network on one machine's CPU."""

    method: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="METHOD")]] = "ssranking"
    """Method to train: ssranking, rankiqa, qcn, gol or counting."""
    checkpoint_every: int = 0
    """Steps between checkpoints; 0 means a tenth of --steps."""
    evaluate_every: int = 0
    """Steps between validations; 0 means a tenth of --steps."""


def main() -> str:
    """Run the job and return its result folder."""
    name = method_name(sys.argv[1:])
    # A task of Ray Data would take longer to start than all else.
    options = parse(TrainOptions, DESCRIPTION, method=name, smoke={"data_workers": 0})
    at_least(0, workers=options.workers, data_workers=options.data_workers or 0)
    at_least(0, checkpoint_every=options.checkpoint_every, evaluate_every=options.evaluate_every)
    method, config = find_method(options.method), options.config
    identity = {"config": config.model_dump(mode="json"), "data": options.data}
    prepared = prepare_data(options.data, method, config)
    check_weights(method, [config])
    folder = result_folder(options.storage, "train", method.name, prepared, identity)
    storage = open_folder(options.storage)
    tenth = max(1, config.steps // 10)
    result = run_training(
        method,
        config,
        prepared,
        folder,
        storage,
        seed=options.data.seed,
        workers=options.workers,
        data_workers=options.data_workers,
        schedule=Schedule(options.evaluate_every or tenth, options.checkpoint_every or tenth),
    )
    print(training_report(result, folder, storage))
    return str(folder)


if __name__ == "__main__":
    run_job(main)
