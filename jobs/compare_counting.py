"""Compare the rows of the crowd counting tables, transfer, and ways of selecting what to label."""

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

from rankloop.active.certainty import PAIRS
from rankloop.command_line import at_least, parse, run_job
from rankloop.comparison_job import (
    SplitComparisonOptions,
    check_comparison,
    check_seeds,
    chosen_rows,
    compare_on_splits,
    split_data,
)
from rankloop.datasets.loaders import file_loader
from rankloop.datasets.readers import read_sources
from rankloop.datasets.transfer import tested_on
from rankloop.errors import ConfigError
from rankloop.methods.counting import COUNTING
from rankloop.methods.method import TrainingData
from rankloop.strategy_comparison import compare_strategies
from rankloop.training.experiment import Prepared, prepare_data
from rankloop.tuning.comparison import Row

Study = Literal["ablation", "transfer", "active"]

DESCRIPTION = """Train the rows of a table of the crowd counting paper with the same data and budget
and several seeds, and print errors beside the paper's numbers.

  --study ablation   Table 5: basic network, with ImageNet weights, with patches of many sizes,
                     ranking and then counting, and both at once with random, hard and efficient
                     pairs
  --study transfer   Table 11: trained on --data, tested on all photographs of --target
  --study active     figure 7: campaigns of active learning with certainty and with random selection

Examples:
  python jobs/compare_counting.py --smoke
  python jobs/compare_counting.py --data ucf_cc_50:UCF_CC_50 folder:crowds --five-fold
  python jobs/compare_counting.py --data shanghaitech:A folder:B --only "+ multi-scale" \\
      "Multi-task (Ours)" --seeds 0 1 2
  python jobs/compare_counting.py --study transfer --data shanghaitech:A --target ucf_cc_50:UCF
  python jobs/compare_counting.py --study active --data shanghaitech:A --cycles 9

Labels are the head points of the data sources; nested crops come from their photographs without
points (or from those with points where all have them). Running the same command again goes on
after any crash. The last line printed is the result folder."""

NOTES = {
    "ablation": "The paper's numbers are means of five folds of UCF_CC_50, VGG-16, 10,000 steps; "
    "without multi-scale it trains on whole images, here on squares of the images' own scale. Here "
    "some of each fold's training images are for validation.",
    "transfer": "The paper's numbers are for ShanghaiTech A to UCF_CC_50, VGG-16, 10,000 steps.",
    "active": "In the paper (figure 7, ShanghaiTech A) certainty with 20 % of the labels does as "
    "well as random selection with 40 %.",
}
FOLDED = "ucf_cc_50"
FOLDS = range(1, 6)


def _rows(study: Study, weights: str) -> list[Row]:
    if study == "transfer":
        return [
            Row("Counting only", {"objective": "counting"}, {"MAE": 349.5, "RMSE": 475.7}),
            Row("Multi-task", {"objective": "multi_task"}, {"MAE": 337.6, "RMSE": 434.3}),
        ]
    counting = {"objective": "counting", "pairs": "efficient"}
    basic = {**counting, "multi_scale": False}
    both = {"objective": "multi_task", "multi_scale": True}
    after = {"objective": "ranking_then_counting", "pairs": "efficient", "multi_scale": True}
    return [
        Row("Basic CNN", {**basic, "weights": "none"}, {"MAE": 454.45}),
        Row("+ Pre-trained model", {**basic, "weights": weights}, {"MAE": 328.54}),
        Row(
            "+ multi-scale", {**counting, "multi_scale": True, "weights": weights}, {"MAE": 308.06}
        ),
        Row("Ranking+FT", {**after, "weights": weights}, {"MAE": 325.73}),
        *(
            Row(f"Multi-task ({name})", {**both, "pairs": pairs, "weights": weights}, {"MAE": mae})
            for name, pairs, mae in (
                ("Random", "random", 292.67),
                ("Hard", "hard", 287.96),
                ("Ours", "efficient", 279.60),
            )
        ),
    ]


@dataclass(frozen=True)
class CompareOptions(SplitComparisonOptions):
    """Options of jobs/compare_counting.py; --workers is the number of runs at once, in --study
    active of data-parallel workers.
    """

    study: Study = "ablation"
    """What to compare."""
    five_fold: bool = False
    """Test on each fifth of ucf_cc_50 in turn, instead of splitting at random."""
    target: str | None = None
    """With --study transfer, the data source READER:PATH to test on."""
    cycles: int = 9
    """With --study active, cycles T. The paper: 9."""
    cycle_share: float = 0.1
    """With --study active, share of the photographs that are labelled at first, and that each cycle
    asks about, in (0, 1]. The paper: 0.1."""
    certainty_pairs: int = PAIRS
    """With --study active, pairs K that certainty is measured on. The paper: 100."""


def main() -> str:
    """Run the job and return its result folder."""
    smoke = {"cycles": 1, "cycle_share": 0.3}
    options = parse(CompareOptions, DESCRIPTION, method="counting", smoke=smoke)
    _check(options)
    note = NOTES[options.study]
    if options.study == "active":
        return compare_strategies(
            "compare_counting",
            COUNTING,
            options,
            strategies=("certainty", "random"),
            cycles=options.cycles,
            share=options.cycle_share,
            pairs=options.certainty_pairs,
            note=note,
        )
    rows = chosen_rows(_rows(options.study, options.config.weights), options.only)
    # The weights are varied by leaving them out alone: those that were given are those of the rows.
    varied = [
        replace(row, values={k: v for k, v in row.values.items() if k != "weights"}) for row in rows
    ]
    check_comparison(COUNTING, options, varied)
    splits = [*FOLDS] if options.five_fold else None
    prepare = None
    if options.five_fold:
        prepare = _folds(options)
    elif options.study == "transfer":
        prepare = _tested_on(options)
    return compare_on_splits(
        "compare_counting",
        COUNTING,
        options,
        rows,
        study=options.study,
        note=note,
        prepare=prepare,
        splits=splits,
        identity={"target": options.target, "five_fold": options.five_fold},
    )


def _check(options: Any) -> None:
    at_least(1, cycles=options.cycles, certainty_pairs=options.certainty_pairs)
    if not 0.0 < options.cycle_share <= 1.0:
        raise ConfigError(f"--cycle-share {options.cycle_share} is outside (0, 1]: give a share")
    if (options.study == "transfer") != (options.target is not None):
        raise ConfigError("--study transfer and --target READER:PATH go together: give both")
    folded = [text for text in options.data.data if text.partition(":")[0] == FOLDED]
    if options.five_fold and (options.study == "active" or len(folded) != 1 or "?" in folded[0]):
        raise ConfigError(
            f"--five-fold is for one data source {FOLDED}:PATH without a fold, and not for --study "
            "active"
        )
    if options.five_fold and options.splits != 1:
        raise ConfigError(f"--splits {options.splits} has no use with --five-fold: leave it out")
    if options.study == "active":
        if options.only:
            raise ConfigError("--only has no rows to choose from in --study active: leave it out")
        if options.splits != 1:
            raise ConfigError("--splits has no use in --study active: give several --seeds")
        at_least(0, workers=options.workers, data_workers=options.data_workers or 0)
        check_seeds(options.seeds)


def _folds(options: Any) -> Any:
    """Return (number of a fold) to data tested on it; the last is kept, not read again."""

    @lru_cache(maxsize=1)
    def prepare(fold: int) -> Prepared:
        sources = tuple(
            f"{text}?fold={fold}" if text.partition(":")[0] == FOLDED else text
            for text in options.data.data
        )
        return prepare_data(replace(options.data, data=sources), COUNTING, options.config)

    return prepare


def _tested_on(options: Any) -> Any:
    """Return (seed of a split) to data that are tested on the target."""
    target = {row.uri for row in read_sources([options.target], seed=options.data.seed).images}
    both = replace(options.data, data=(*options.data.data, options.target))
    whole = split_data(both, COUNTING, options.config)

    @lru_cache(maxsize=1)
    def prepare(split: int) -> Prepared:
        dataset = tested_on(whole(split).data.dataset, target, COUNTING.learns_from)
        return Prepared(TrainingData(dataset, file_loader(dataset, None)), None)

    return prepare


if __name__ == "__main__":
    run_job(main)
