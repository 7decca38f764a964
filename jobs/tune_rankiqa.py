#!/usr/bin/env python
"""Sweep MT-RankIQA over Ray."""

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from rankloop.command_line import parse, run_job
from rankloop.errors import ConfigError
from rankloop.methods.rankiqa import RANKIQA
from rankloop.models.scorer import Backbone
from rankloop.sweep_job import SweepOptions, check_sweep, first_trial, sweep
from search_spaces import rankiqa

DESCRIPTION = """Sweep the weight and the margin of the ranking loss, the learning rate, the
distortions and levels of the ladders and the backbone of MT-RankIQA, and keep the best quality
scorer.

Examples:
  python jobs/tune_rankiqa.py --smoke
  python jobs/tune_rankiqa.py --data tid2013:TID2013 waterloo:WATERLOO --trials 30 --workers 4
  python jobs/tune_rankiqa.py --data clive:CLIVE folder:photos --backbones resnet18 shallow
  ray job submit --working-dir . -- python jobs/tune_rankiqa.py --storage /shared/results

Labels come from the scores of the data sources, ladders from their undistorted photographs without
a score (or with one where all have one). What is varied, and so is no option of this job, is in
search_spaces/rankiqa.py with its ranges: edit them there. The first trial is the paper's
configuration (its margin is unpublished: a documented default of ours). Weak trials are stopped
early. The regression without ranking of the paper's and of the best configuration are trained
beside, with the same budget. Running the same command again goes on after any crash, with the same
suggestions and the same stopping decisions. The last line printed is the result folder."""

SMOKE = {"trials": 2, "backbones": ("shallow",)}


@dataclass(frozen=True)
class TuneOptions(SweepOptions):
    """Options of jobs/tune_rankiqa.py; --workers is the number of trials at once."""

    backbones: tuple[Backbone, ...] = rankiqa.BACKBONES
    """Backbones to choose from; the first trial has vgg16, or else the first of them."""


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(TuneOptions, DESCRIPTION, method="rankiqa", smoke=SMOKE)
    check_sweep(RANKIQA, options, rankiqa)
    if options.config.objective != "multi_task":
        raise ConfigError(
            f"--objective {options.config.objective} has no weight to sweep: leave it out, or "
            "compare the objectives with jobs/compare_rankiqa.py"
        )
    paper = first_trial(options, rankiqa, {"backbones": "backbone"})
    chosen = {"backbones": options.backbones}
    return sweep("tune_rankiqa", RANKIQA, options, rankiqa, chosen=chosen, paper=paper)


if __name__ == "__main__":
    run_job(main)
