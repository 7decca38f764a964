#!/usr/bin/env python
"""Sweep crowd counting by ranking over Ray."""

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from rankloop.command_line import parse, run_job
from rankloop.errors import ConfigError
from rankloop.methods.counting import COUNTING
from rankloop.models.density import DensityBackbone
from rankloop.sweep_job import SweepOptions, check_sweep, first_trial, sweep
from search_spaces import counting

DESCRIPTION = """Sweep the weight and the margin of the ranking loss, the number, scale and places
of nested crops, the learning rate, the sizes of labelled patches and the backbone of crowd
counting, and keep the counter with the least mean absolute error.

Examples:
  python jobs/tune_counting.py --smoke
  python jobs/tune_counting.py --data shanghaitech:part_A folder:crowds --trials 30 --workers 4
  python jobs/tune_counting.py --data ucf_qnrf:UCF_QNRF --backbones efficientnet_lite0 \\
      --weights lite0.safetensors
  ray job submit --working-dir . -- python jobs/tune_counting.py --storage /shared/results

Labels are the head points of the data sources; nested crops come from their photographs without
points (or from those with points where all have them). What is varied, and so is no option of this
job, is in search_spaces/counting.py with its ranges: edit them there. The first trial is the
paper's configuration (its margin is unpublished: a documented default of ours). Weak trials are
stopped early. Counting without ranking, of the paper's and of the best configuration, is trained
beside, with the same budget. Running the same command again goes on after any crash, with the same
suggestions and the same stopping decisions. The last line printed is the result folder."""

SMOKE = {"trials": 2, "backbones": ("resnet18",)}


@dataclass(frozen=True)
class TuneOptions(SweepOptions):
    """Options of jobs/tune_counting.py; --workers is the number of trials at once."""

    backbones: tuple[DensityBackbone, ...] = counting.BACKBONES
    """Backbones to choose from; the first trial has vgg16, or else the first of them."""


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(TuneOptions, DESCRIPTION, method="counting", smoke=SMOKE)
    check_sweep(COUNTING, options, counting)
    config = options.config
    if config.objective != "multi_task":
        raise ConfigError(
            f"--objective {config.objective} has no weight to sweep: leave it out, or "
            "compare the objectives with jobs/compare_counting.py"
        )
    most = counting.CROPS_RANGE[1]
    if config.pairs == "efficient" and config.ranked_images < most:
        raise ConfigError(
            f"--ranked-images {config.ranked_images} hold no set of {most} crops, the most of the "
            f"sweep: give at least {most}, or lower CROPS_RANGE in search_spaces/counting.py"
        )
    paper = first_trial(options, counting, {"backbones": "backbone"})
    chosen = {"backbones": options.backbones}
    return sweep("tune_counting", COUNTING, options, counting, chosen=chosen, paper=paper)


if __name__ == "__main__":
    run_job(main)
