#!/usr/bin/env python
"""Compare the four rows of SSRanking's Table 2."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

from rankloop.command_line import parse, run_job
from rankloop.comparison_job import ComparisonOptions, check_comparison
from rankloop.errors import ConfigError
from rankloop.methods.ssranking import SSRANKING
from rankloop.storage import open_folder
from rankloop.training.experiment import prepare_data, result_folder
from rankloop.tuning.comparison import Row, run_comparison
from rankloop.tuning.report import comparison_report

DESCRIPTION = """Train the four rows of SSRanking's Table 2 (Baseline, +RankIQA loss, +LSEP loss,
+QRC) with the same data, split and budget and several seeds, and print test SROCC with mean and
spread beside the paper's numbers.

Examples:
  python jobs/compare_qrc.py --smoke
  python jobs/compare_qrc.py --data folder:faces --source-pattern '(.+)_[0-9]+' --seeds 0 1 2 3 4

Running the same command again goes on after any crash. The last line printed is the result
folder."""

# Table 2 of the paper, trained on FIB-5K: SROCC on Test1, Test2, Test3.
_COLUMNS = ("Test1", "Test2", "Test3")
ROWS = [
    Row(name, {"self_supervision": kind}, dict(zip(_COLUMNS, paper, strict=True)))
    for name, kind, paper in (
        ("Baseline", "none", (0.9285, 0.9572, 0.9091)),
        ("+RankIQA loss", "rankiqa", (0.9240, 0.9633, 0.9125)),
        ("+LSEP loss", "lsep", (0.9180, 0.9534, 0.9005)),
        ("+QRC", "qrc", (0.9480, 0.9723, 0.9330)),
    )
]


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(
        ComparisonOptions, DESCRIPTION, defaults={"seeds": (0, 1, 2)}, smoke={"seeds": (0, 1)}
    )
    check_comparison(SSRANKING, options, ROWS)
    config = options.config
    if not config.self_supervised_weight:
        raise ConfigError("--self-supervised-weight 0 makes all rows the baseline: give more")
    identity = {
        "config": config.model_dump(mode="json"),
        "data": options.data,
        "seeds": options.seeds,
    }
    prepared = prepare_data(options.data, SSRANKING, config)
    folder = result_folder(options.storage, "compare_qrc", "ssranking", prepared, identity)
    storage = open_folder(options.storage)
    result = run_comparison(
        "ssranking",
        config,
        ROWS,
        sorted(options.seeds),
        prepared,
        folder,
        storage,
        options.workers,
        options.data_workers,
        note="The paper's numbers are for other data (FIB-5K faces, human labels) and ResNet-18.",
    )
    print(comparison_report(result, folder, storage))
    return str(folder)


if __name__ == "__main__":
    run_job(main)
