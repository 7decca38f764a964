#!/usr/bin/env python
"""Estimate what a sweep will take."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

import tyro

from rankloop.command_line import read, run_job
from rankloop.tuning.estimate import SweepSize, estimate, estimate_table

DESCRIPTION = """Estimate the hours, bytes and dollars of a sweep, the part that saturates first and
the setting that moves it, before anything runs. Rates of your own machine come from
tests/benchmarks/bench_rates.py, which prints them as options of this job; sources of the defaults
are in docs/scaling.md.

Examples:
  python jobs/estimate.py --photos 1000000 --trials 100 --gpus 16
  python jobs/estimate.py --gpus 16 --cores-per-gpu 4 --data-workers 2
  python jobs/estimate.py --gpus-per-node 8 --trained-per-second 2130 --dollars-per-node-hour 32.77
  python jobs/estimate.py --on-cpu --cores-per-gpu 1 --data-workers 0 --trained-per-second 5

The last line printed is the answer in one line."""


@dataclass(frozen=True)
class EstimateOptions:
    """Options of jobs/estimate.py."""

    size: tyro.conf.OmitArgPrefixes[SweepSize] = field(default_factory=SweepSize)


def main() -> str:
    """Print the table and return the answer in one line."""
    size = read(EstimateOptions, DESCRIPTION, args=sys.argv[1:]).size
    found = estimate(size)
    print(estimate_table(size, found))
    return found.answer


if __name__ == "__main__":
    run_job(main)
