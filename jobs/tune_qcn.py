#!/usr/bin/env python
"""Sweep QCN over Ray."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from rankloop.command_line import parse, run_job
from rankloop.errors import ConfigError
from rankloop.methods.configuration import make_config
from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_config import QCNConfig
from rankloop.models.image_encoder import EncoderName
from rankloop.sweep_job import SweepOptions, check_sweep, first_trial, sweep
from search_spaces import qcn

DESCRIPTION = """Sweep the numbers of pivots, images and transformers, the quantisation, the layout
of the transformers, the weights and the margin of the losses, the learning rate and the backbone of
QCN, and keep the best quality scorer.

Examples:
  python jobs/tune_qcn.py --smoke
  python jobs/tune_qcn.py --data koniq10k:KONIQ --trials 30 --workers 4
  python jobs/tune_qcn.py --data clive:CLIVE --backbones resnet18 --pivot-counts 21 51 101
  ray job submit --working-dir . -- python jobs/tune_qcn.py --storage /shared/results

Labels come from the scores of the data sources. What is varied, and so is no option of this job, is
in search_spaces/qcn.py with its ranges: edit them there. Heads and dropped branches are drawn only
for the layout of the authors' code; trials with fewer images in a list have more lists, so that a
step has 54 images, or as many as whole lists can hold. The first trial is the paper's
configuration. Weak trials are stopped early. Plain regression by the paper's and by the best
configuration's encoder is trained beside, with the same budget. Running the same command again goes
on after any crash, with the same suggestions and the same stopping decisions. The last line printed
is the result folder."""

SMOKE = {"trials": 2, "backbones": ("resnet18",), "pivot_counts": (5,)}


@dataclass(frozen=True)
class TuneOptions(SweepOptions):
    """Options of jobs/tune_qcn.py; --workers is the number of trials at once."""

    backbones: tuple[EncoderName, ...] = qcn.BACKBONES
    """Backbones to choose from; the first trial has resnet50, or else the first of them."""
    pivot_counts: tuple[int, ...] = qcn.PIVOTS
    """Numbers of pivots to choose from, at most the number of different training scores; the first
    trial has 101, or else the first of them."""


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(TuneOptions, DESCRIPTION, method="qcn", smoke=SMOKE)
    check_sweep(QCN, options, qcn)
    if options.config.objective != "comparison":
        raise ConfigError(
            "--objective regression has no pivots to sweep: leave it out; it is trained beside"
        )
    unit = 2 * max(qcn.HEADS)
    if options.config.channels % unit:
        raise ConfigError(
            f"--channels {options.config.channels} cannot be divided among {max(qcn.HEADS)} heads, "
            f"the most of the sweep: give a multiple of {unit}, or change HEADS in "
            "search_spaces/qcn.py"
        )
    if not options.config.mae_weight:
        raise ConfigError(
            "--mae-weight 0 leaves nothing to learn for plain regression, which is trained beside: "
            "give more"
        )
    chosen: dict[str, Any] = {"pivots": options.pivot_counts, "backbones": options.backbones}
    choices = {"pivot_counts": "pivots", "backbones": "backbone"}
    paper = first_trial(options, qcn, choices)
    values = options.config.model_dump()
    for pivots in sorted(options.pivot_counts):
        # The largest stays: more pivots than training scores are refused before anything starts.
        options = replace(options, config=make_config(QCNConfig, {**values, "pivots": pivots}))
    per_step = options.config.images * options.config.lists
    paper["lists"] = qcn.lists_per_step(paper["images"], per_step)
    chosen["per_step"] = per_step
    return sweep("tune_qcn", QCN, options, qcn, chosen=chosen, paper=paper)


if __name__ == "__main__":
    run_job(main)
