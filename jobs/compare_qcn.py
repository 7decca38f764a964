#!/usr/bin/env python
"""Compare the rows of QCN's Tables 2 to 8."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

from rankloop.command_line import parse, run_job
from rankloop.comparison_job import (
    SplitComparisonOptions,
    check_comparison,
    chosen_rows,
    compare_across_sources,
    compare_on_splits,
)
from rankloop.methods.configuration import make_config
from rankloop.methods.gol import GOL
from rankloop.methods.gol_config import GOLConfig
from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_config import QCNConfig
from rankloop.tuning.comparison import Row

Study = Literal["modules", "losses", "aux", "depth", "pivots", "gol", "cross"]

DESCRIPTION = """Train the rows of a table of the QCN paper with the same data, splits and budget
and several seeds, and print validation and test correlations beside the paper's numbers.

  --study modules   Table 3: with and without the self-updates of features and of pivots
  --study losses    Table 4: MAE loss alone, then with center, metric and order loss
  --study aux       Table 5: 1 to 24 images compared, per step as many as whole lists can hold
  --study depth     Table 6: 1 to 5 transformers
  --study pivots    Table 7: uniform against Lloyd-Max quantisation
  --study gol       Table 8: GOL, QCN, and beside them plain regression of the same encoder
  --study cross     Table 2: trained on each data source, evaluated on all images of every other

Examples:
  python jobs/compare_qcn.py --smoke
  python jobs/compare_qcn.py --study losses --data koniq10k:KONIQ --split 80-20 --splits 10
  python jobs/compare_qcn.py --study cross --data bid:BID clive:CLIVE koniq10k:KONIQ
  python jobs/compare_qcn.py --study gol --data clive:CLIVE --backbone resnet18 --steps 2000

In --study gol, GOL has the encoder, the images and the steps of QCN, at most as many reference
points as QCN has pivots, and its own learning rate unless --learning-rate is not QCN's default.
Labels come from the scores of the data sources. --splits N splits the data N times, with --seed and
the seeds after it, and takes the median. Running the same command again goes on after any crash.
The last line printed is the result folder."""

NOTE = (
    "The paper's numbers are for KonIQ-10k (of pivots and gol also SPAQ) and ResNet-50 with "
    "ImageNet weights, medians of ten splits."
)
# Columns of tables 7 and 8.
TWO_DATA_SETS = ("KonIQ SROCC", "KonIQ PLCC", "SPAQ SROCC", "SPAQ PLCC")
# Table 2: trained on, evaluated on, SROCC.
CROSS = {
    "bid": {"clive": 0.800, "koniq10k": 0.730},
    "clive": {"bid": 0.886, "koniq10k": 0.784},
    "koniq10k": {"bid": 0.847, "clive": 0.840},
}


def _row(name: str, srocc: float, plcc: float, **values: Any) -> Row:
    return Row(name, values, {"SROCC": srocc, "PLCC": plcc})


def _rows(study: Study, per_step: int) -> list[Row]:
    """The rows of a study of QCN.

    Args:
        study: which.
        per_step: images of each group per step, of which lists of other lengths take as many as
            they can.
    """
    if study == "modules":
        return [
            _row(name, *paper, feature_self_update=feature, pivot_self_update=pivot)
            for name, paper, feature, pivot in (
                ("I: FPCU and PFCU", (0.858, 0.849), False, False),
                ("II: with FSU", (0.916, 0.881), True, False),
                ("III: with PSU", (0.930, 0.939), False, True),
                ("IV: with both", (0.934, 0.945), True, True),
            )
        ]
    if study == "losses":
        return [
            _row(name, *paper, center_weight=center, metric_weight=metric, order_weight=order)
            for name, paper, center, metric, order in (
                ("I: MAE", (0.855, 0.866), 0.0, 0.0, 0.0),
                ("II: and center", (0.860, 0.877), 1.0, 0.0, 0.0),
                ("III: and metric", (0.929, 0.939), 1.0, 1.0, 0.0),
                ("IV: and order", (0.934, 0.945), 1.0, 1.0, 1.0),
            )
        ]
    if study == "aux":
        return [
            _row(f"N = {n}", *paper, images=n, lists=max(1, per_step // n))
            for n, paper in (
                (1, (0.909, 0.924)),
                (6, (0.928, 0.940)),
                (12, (0.931, 0.942)),
                (18, (0.935, 0.945)),
                (24, (0.934, 0.944)),
            )
        ]
    if study == "depth":
        return [
            _row(f"T = {t}", *paper, transformers=t)
            for t, paper in (
                (1, (0.928, 0.939)),
                (2, (0.930, 0.941)),
                (3, (0.934, 0.945)),
                (4, (0.933, 0.943)),
                (5, (0.933, 0.943)),
            )
        ]
    if study == "pivots":
        return [
            Row(name, {"quantisation": kind}, dict(zip(TWO_DATA_SETS, paper, strict=True)))
            for name, kind, paper in (
                ("uniform", "uniform", (0.929, 0.941, 0.914, 0.919)),
                ("non-uniform", "lloyd_max", (0.934, 0.945, 0.923, 0.928)),
            )
        ]
    qcn = dict(zip(TWO_DATA_SETS, (0.934, 0.945, 0.923, 0.928), strict=True))
    return [Row("QCN", {"objective": "comparison"}, qcn), REGRESSION]


REGRESSION = Row("plain regression", {"objective": "regression"}, {})
GOL_ROW = Row("GOL", {}, dict(zip(TWO_DATA_SETS, (0.918, 0.909, 0.908, 0.907), strict=True)))


@dataclass(frozen=True)
class CompareOptions(SplitComparisonOptions):
    """Options of jobs/compare_qcn.py; --workers is the number of runs at once."""

    study: Study = "modules"
    """Which rows to train."""


def _gol_config(config: QCNConfig) -> GOLConfig:
    """GOL with the encoder, the images and the budget of QCN."""
    shared = ("backbone", "weights", "short_side", "steps", "weight_decay")
    values = {name: getattr(config, name) for name in shared}
    if config.learning_rate != QCNConfig().learning_rate:
        values["learning_rate"] = config.learning_rate
    values["frozen_statistics"] = config.keeps_statistics
    values["images"] = config.images * config.images_per_group * config.lists
    values["references"] = min(GOLConfig().references, config.pivots)
    return make_config(GOLConfig, values)


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(CompareOptions, DESCRIPTION, method="qcn")
    if options.study == "cross":
        check_comparison(QCN, options, [])
        return compare_across_sources(
            "compare_qcn", QCN, options, study="cross", note=NOTE, paper=CROSS
        )
    rows = _rows(options.study, options.config.images * options.config.lists)
    every = [GOL_ROW, *rows] if options.study == "gol" else rows
    chosen = chosen_rows(every, options.only)
    check_comparison(QCN, options, [row for row in rows if row in chosen])
    beside = [row for row in chosen if row is GOL_ROW]
    return compare_on_splits(
        "compare_qcn",
        QCN,
        options,
        [row for row in chosen if row is not GOL_ROW],
        study=options.study,
        note=NOTE,
        beside=[(GOL, _gol_config(options.config), beside)] if beside else [],
    )


if __name__ == "__main__":
    run_job(main)
