#!/usr/bin/env python
"""Compare the rows of MT-RankIQA's Table 1, or the effect of levels and of photographs."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

from rankloop.command_line import parse, run_job
from rankloop.comparison_job import (
    SplitComparisonOptions,
    check_comparison,
    chosen_rows,
    compare_on_splits,
)
from rankloop.methods.rankiqa import RANKIQA
from rankloop.tuning.comparison import Row

Study = Literal["objectives", "levels", "photographs"]

DESCRIPTION = """Train the rows of a table of the RankIQA papers with the same data, splits and
budget and several seeds, and print validation and test correlations beside the paper's numbers,
of all images and by distortion.

  --study objectives   Table 1: Baseline, RankIQA, RankIQA+FT and MT-RankIQA with random, hard and
                       efficient pairs
  --study levels       supplement, Table 4: ladders of 2 to 6 levels
  --study photographs  supplement, Table 4: 20 to 100 % of the photographs that ladders are made of

Examples:
  python jobs/compare_rankiqa.py --smoke
  python jobs/compare_rankiqa.py --data tid2013:TID2013 waterloo:WATERLOO --split 80-20 --splits 10
  python jobs/compare_rankiqa.py --study levels --data live:LIVE folder:photos --backbone shallow

Labels come from the scores of the data sources, ladders from their undistorted photographs without
a score (or with one where all have one). --splits N splits the data by reference image N times,
with --seed and the seeds after it, and takes the median. Running the same command again goes on
after any crash. The last line printed is the result folder."""

NOTE = "The paper's numbers are for TID2013 and VGG-16 with ImageNet weights, 50,000 steps."
# Those of LIVE that have six levels with the photograph itself.
SIX_LEVELS = ("gaussian_blur", "gaussian_noise_live", "jpeg", "jpeg2000")


def _rows(study: Study) -> list[Row]:
    if study == "levels":
        paper = dict(zip(range(2, 7), (0.73, 0.75, 0.82, 0.85, 0.84), strict=True))
        return [
            Row(f"{n} levels", {"levels": " ".join(map(str, range(n)))}, {"LCC": paper[n]})
            for n in paper
        ]
    if study == "photographs":
        shares = dict(zip((20, 40, 60, 80, 100), (0.82, 0.83, 0.84, 0.85, 0.85), strict=True))
        return [Row(f"{n} %", {"ladder_share": n / 100}, {"LCC": shares[n]}) for n in shares]
    return [
        Row(name, {"objective": objective, "pairs": pairs}, {"LCC": lcc, "SROCC": srocc})
        for name, objective, pairs, lcc, srocc in (
            ("Baseline", "regression", "efficient", 0.663, 0.612),
            ("RankIQA", "ranking", "efficient", 0.566, 0.623),
            ("RankIQA+FT (Random)", "ranking_then_regression", "random", 0.775, 0.738),
            ("RankIQA+FT (Hard)", "ranking_then_regression", "hard", 0.782, 0.748),
            ("RankIQA+FT (Ours)", "ranking_then_regression", "efficient", 0.799, 0.780),
            ("MT-RankIQA (Random)", "multi_task", "random", 0.802, 0.770),
            ("MT-RankIQA (Hard)", "multi_task", "hard", 0.810, 0.779),
            ("MT-RankIQA (Ours)", "multi_task", "efficient", 0.827, 0.806),
        )
    ]


@dataclass(frozen=True)
class CompareOptions(SplitComparisonOptions):
    """Options of jobs/compare_rankiqa.py; --workers is the number of runs at once."""

    study: Study = "objectives"
    """Which rows to train."""


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(CompareOptions, DESCRIPTION, method="rankiqa")
    rows = chosen_rows(_rows(options.study), options.only)
    check_comparison(RANKIQA, options, rows)
    config = options.config
    usual = (type(config)().distortions, RANKIQA.smoke["distortions"])
    if options.study == "levels" and config.distortions in usual:
        config = config.model_copy(update={"distortions": SIX_LEVELS})
        options = replace(options, config=config)
    return compare_on_splits(
        "compare_rankiqa", RANKIQA, options, rows, study=options.study, note=NOTE
    )


if __name__ == "__main__":
    run_job(main)
