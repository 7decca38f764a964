#!/usr/bin/env python
"""Compare the rows of the crowd counting tables, transfer, and ways of selecting what to label."""

import re
import sys
from collections.abc import Sequence
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
from rankloop.datasets.readers import read_sources
from rankloop.datasets.transfer import tested_on
from rankloop.errors import ConfigError
from rankloop.methods.counting import COUNTING
from rankloop.methods.file_data import file_data
from rankloop.strategy_comparison import compare_strategies
from rankloop.training.experiment import Prepared, describe, prepare_data
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
  python jobs/compare_counting.py --data ucf_cc_50:UCF_CC_50 folder:crowds --each-fold
  python jobs/compare_counting.py --data worldexpo10:WorldExpo10 --each-fold --only \\
      "+ multi-scale" "Multi-task (Ours)"
  python jobs/compare_counting.py --data ucsd:UCSD --each-fold --backbone vgg16_pool4 \\
      --input-size 112 --only "+ multi-scale" "Multi-task (Ours)"
  python jobs/compare_counting.py --data shanghaitech:part_A folder:B --only "+ multi-scale" \\
      "Multi-task (Ours)" --seeds 0 1 2
  python jobs/compare_counting.py --study transfer --data shanghaitech:part_A --target ucf_cc_50:UCF
  python jobs/compare_counting.py --study active --data shanghaitech:part_A --cycles 9

Labels are the head points of the data sources; nested crops come from their photographs without
points (or from those with points where all have them). Running the same command again goes on
after any crash. The last line printed is the result folder."""

NOTES = {
    "ablation": "The paper's numbers, where it has some for these data, are for VGG-16 and 10,000 "
    "steps; without multi-scale it trains on whole images, here on squares of the images' own "
    "scale. Here some of the training images are for validation, Ranking+FT shares its steps "
    "between ranking and counting, and images are not resampled beforehand (6.2: UCF_CC_50 three "
    "scales down and one up, ShanghaiTech one up). The ranking loss is a sum over pairs by number "
    "of images: 2 pairs per image of whole sets of 5, half a pair of random ones, half a pair per "
    "image of the hard pairs that are kept, so that one λ weighs whole sets four times as much. On "
    "UCSD the paper takes --backbone vgg16_pool4 --input-size 112; scenes of WorldExpo'10 are "
    "taken in the order of their numbers for its scenes 1 to 5.",
    "transfer": "The paper's numbers are for ShanghaiTech A to UCF_CC_50, VGG-16, 10,000 steps.",
    "active": "In the paper (figure 7, ShanghaiTech A) certainty with 20 % of the labels does as "
    "well as random selection with 40 %. Here some of the training images are for validation, and "
    "shares are of the others; nested crops come from all training images without heads, or, where "
    "all have them, as in the paper's experiment, from all whose heads are held out at first, also "
    "once they are labelled.",
}
# Readers that have folds: their option, and its values.
FOLDS = {
    "ucf_cc_50": ("fold", range(1, 6)),
    "worldexpo10": ("scene", (104207, 200608, 200702, 202201, 500717)),
    "ucsd": ("fold", (1, 2)),
}
# Tables 6 to 10: MAE and RMSE of the baseline and of multi-task training (Keyword).
BASELINE, OURS = "+ multi-scale", "Multi-task (Ours)"
TABLES: dict[str, dict[str, tuple[float, ...]]] = {
    "ucf_cc_50": {BASELINE: (308.06,), OURS: (279.6, 408.1)},
    "shanghaitech A": {BASELINE: (77.7, 115.9), OURS: (73.6, 112.0)},
    "shanghaitech B": {BASELINE: (14.7, 24.7), OURS: (13.7, 21.4)},
    "worldexpo10": {BASELINE: (12.5,), OURS: (10.5,)},
    "ucsd": {BASELINE: (1.6, 2.13), OURS: (1.17, 1.55)},
    "ucf_qnrf": {BASELINE: (137.0, 228.0), OURS: (124.0, 196.0)},
}
# Table 8, by scene.
SCENES = {BASELINE: (5.0, 22.0, 14.3, 15.7, 5.3), OURS: (3.8, 17.5, 13.8, 12.7, 5.2)}
# Table 5, of ucf_cc_50 alone.
ABLATION = {
    "Basic CNN": 454.45,
    "+ Pre-trained model": 328.54,
    "Ranking+FT": 325.73,
    "Multi-task (Random)": 292.67,
    "Multi-task (Hard)": 287.96,
}


def _paper(data: Sequence[str], row: str) -> dict[str, float]:
    """Return the paper's errors of a row, if it has some for the data with heads."""
    known = {name.split()[0] for name in TABLES}
    sources = [text for text in data if text.partition(":")[0] in known]
    if len(sources) != 1:
        return {}
    name, _, path = sources[0].partition(":")
    part = re.search(r"part_?([AB])\b", path, re.IGNORECASE)
    if name == "shanghaitech" and part:
        name = f"{name} {part[1].upper()}"
    found = TABLES.get(name, {}).get(row, ())
    if name == "ucf_cc_50" and row in ABLATION:
        found = (ABLATION[row],)
    errors = dict(zip(("MAE", "RMSE"), found, strict=False))
    if name == "worldexpo10" and row in SCENES:
        # Named as the metrics of scenes are.
        scenes = (f"mae/{scene}" for scene in FOLDS[name][1])
        errors |= dict(zip(scenes, SCENES[row], strict=True))
    return errors


def _rows(study: Study, data: Sequence[str], weights: str) -> list[Row]:
    if study == "transfer":
        return [
            Row("Counting only", {"objective": "counting"}, {"MAE": 349.5, "RMSE": 475.7}),
            Row("Multi-task", {"objective": "multi_task"}, {"MAE": 337.6, "RMSE": 434.3}),
        ]
    counting = {"objective": "counting", "pairs": "efficient"}
    basic = {**counting, "multi_scale": False}
    both = {"objective": "multi_task", "multi_scale": True}
    after = {"objective": "ranking_then_counting", "pairs": "efficient", "multi_scale": True}
    values = {
        "Basic CNN": {**basic, "weights": "none"},
        "+ Pre-trained model": {**basic, "weights": weights},
        BASELINE: {**counting, "multi_scale": True, "weights": weights},
        "Ranking+FT": {**after, "weights": weights},
        "Multi-task (Random)": {**both, "pairs": "random", "weights": weights},
        "Multi-task (Hard)": {**both, "pairs": "hard", "weights": weights},
        OURS: {**both, "pairs": "efficient", "weights": weights},
    }
    return [Row(name, some, _paper(data, name)) for name, some in values.items()]


CYCLES, CYCLE_SHARE = 9, 0.1
SMOKE = {"cycles": 1, "cycle_share": 0.3}


@dataclass(frozen=True)
class CompareOptions(SplitComparisonOptions):
    """Options of jobs/compare_counting.py; --workers is the number of runs at once, in --study
    active of data-parallel workers.
    """

    study: Study = "ablation"
    """What to compare."""
    each_fold: bool = False
    """Test in turn on each fifth of ucf_cc_50, on each test scene of worldexpo10 or on each half of
    the test frames of ucsd, as published, instead of splitting at random."""
    target: str | None = None
    """With --study transfer, the data source READER:PATH to test on."""
    cycles: int = CYCLES
    """With --study active, cycles T. The paper: 9."""
    cycle_share: float = CYCLE_SHARE
    """With --study active, share of the photographs that are labelled at first, and that each cycle
    asks about, in (0, 1]. The paper: 0.1."""
    certainty_pairs: int = PAIRS
    """With --study active, pairs K that certainty is measured on. The paper: 100."""


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(CompareOptions, DESCRIPTION, method="counting", smoke=SMOKE)
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
    rows = chosen_rows(
        _rows(options.study, options.data.data, options.config.weights), options.only
    )
    # The weights are varied by leaving them out alone: those that were given are those of the rows.
    varied = [
        replace(row, values={k: v for k, v in row.values.items() if k != "weights"}) for row in rows
    ]
    check_comparison(COUNTING, options, varied)
    splits, prepare = None, None
    if options.each_fold:
        splits = [*FOLDS[_folded(options)[0].partition(":")[0]][1]]
        for fold in splits:
            # One without its test photographs is refused now, not when its turn comes.
            read_sources([_source_of(options, fold)], seed=options.data.seed)
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
        identity={"target": options.target, "each_fold": options.each_fold},
    )


def _check(options: Any) -> None:
    at_least(1, cycles=options.cycles, certainty_pairs=options.certainty_pairs)
    if not 0.0 < options.cycle_share <= 1.0:
        raise ConfigError(f"--cycle-share {options.cycle_share} is outside (0, 1]: give a share")
    if (options.study == "transfer") != (options.target is not None):
        raise ConfigError("--study transfer and --target READER:PATH go together: give both")
    folded = _folded(options)
    if options.each_fold and (options.study != "ablation" or len(folded) != 1 or "?" in folded[0]):
        raise ConfigError(
            "--each-fold is for --study ablation with one data source of "
            f"{', '.join(f'{name}:PATH' for name in FOLDS)}, without a fold or scene"
        )
    if options.each_fold and options.splits != 1:
        raise ConfigError(f"--splits {options.splits} has no use with --each-fold: leave it out")
    given = (options.cycles, options.cycle_share, options.certainty_pairs)
    usual = (
        (SMOKE["cycles"], SMOKE["cycle_share"], PAIRS)
        if options.smoke
        else (CYCLES, CYCLE_SHARE, PAIRS)
    )
    if options.study != "active" and given != usual:
        raise ConfigError(
            "--cycles, --cycle-share and --certainty-pairs are for --study active: leave them out"
        )
    if options.study == "active":
        if options.only:
            raise ConfigError("--only has no rows to choose from in --study active: leave it out")
        if options.splits != 1:
            raise ConfigError("--splits has no use in --study active: give several --seeds")
        at_least(0, workers=options.workers, data_workers=options.data_workers or 0)
        check_seeds(options.seeds)


def _folded(options: Any) -> list[str]:
    """Data sources that have folds."""
    return [text for text in options.data.data if text.partition(":")[0] in FOLDS]


def _source_of(options: Any, fold: int) -> str:
    """Return the data source that has folds, with one of them."""
    (folded,) = _folded(options)
    return f"{folded}?{FOLDS[folded.partition(':')[0]][0]}={fold}"


def _folds(options: Any) -> Any:
    """Return (value of a fold) to data tested on it; the last is kept, not read again."""
    (folded,) = _folded(options)

    @lru_cache(maxsize=1)
    def prepare(fold: int) -> Prepared:
        one = _source_of(options, fold)
        sources = tuple(one if text == folded else text for text in options.data.data)
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
        others, _, last = dataset.name.rpartition(" + ")
        dataset = replace(dataset, name=f"{others}, tested on {last}")
        print("of these, for transfer (test images of other sources are left out):")
        print(describe(dataset, COUNTING.learns_from), flush=True)
        return Prepared(file_data(dataset, None), None)

    return prepare


if __name__ == "__main__":
    run_job(main)
