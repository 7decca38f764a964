#!/usr/bin/env python
"""Sweep SSRanking/QRC over Ray."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from rankloop.command_line import parse, run_job
from rankloop.errors import ConfigError
from rankloop.methods.ssranking import SSRANKING
from rankloop.sweep_job import SweepOptions, check_sweep, sweep
from search_spaces import qrc

DESCRIPTION = """Sweep the margins, the weight of the self-supervised loss, the learning rate and
the blur strength of SSRanking/QRC, and keep the best blur scorer.

Examples:
  python jobs/tune_qrc.py --smoke
  python jobs/tune_qrc.py --data folder:photos --trials 30 --workers 4
  ray job submit --working-dir . -- python jobs/tune_qrc.py --storage /shared/results

What is varied, and so is no option of this job, is in search_spaces/qrc.py with its ranges: edit
them there. The first trial is the paper's configuration (its margins and weight are unpublished:
documented defaults of ours). Weak trials are stopped early. The supervised baseline (weight 0) of
the paper's and of the best configuration are trained beside, with the same budget. Running the same
command again goes on after any crash, with the same suggestions and the same stopping decisions.
The last line printed is the result folder."""

SMOKE = {"trials": 2}


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(SweepOptions, DESCRIPTION, smoke=SMOKE)
    check_sweep(SSRANKING, options, qrc)
    config = options.config
    if config.self_supervision != "qrc":
        raise ConfigError(
            f"--self-supervision {config.self_supervision} has no epsilon_qrc to sweep: leave it "
            "out, or compare the losses with jobs/compare_qrc.py"
        )
    if config.blur_low > qrc.BLUR_HIGH[0]:
        raise ConfigError(
            f"--blur-low {config.blur_low} is above {qrc.BLUR_HIGH[0]}, the least blur_high of the "
            "sweep: give less, or raise BLUR_HIGH in search_spaces/qrc.py"
        )
    return sweep("tune_qrc", SSRANKING, options, qrc)


if __name__ == "__main__":
    run_job(main)
