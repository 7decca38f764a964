"""Compare the rows of MT-RankIQA's Table 1, or the effect of levels and of photographs."""

import difflib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

from rankloop.command_line import JobOptions, at_least, parse, refuse_swept, run_job
from rankloop.errors import ConfigError
from rankloop.methods.rankiqa import RANKIQA
from rankloop.storage import open_folder
from rankloop.training.experiment import Prepared, prepare_data, result_folder
from rankloop.tuning.comparison import Row
from rankloop.tuning.report import comparison_report
from rankloop.tuning.split_comparison import run_split_comparison

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


def _chosen(rows: list[Row], only: tuple[str, ...]) -> list[Row]:
    names = [row.name for row in rows]
    for name in only:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
            raise ConfigError(f"--only {name!r} is no row: the nearest is {near[0]!r}")
    return [row for row in rows if not only or row.name in only]


@dataclass(frozen=True)
class CompareOptions(JobOptions):
    """Options of jobs/compare_rankiqa.py; --workers is the number of runs at once."""

    study: Study = "objectives"
    """Which rows to train."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of initial weights and order of examples; each row is trained once per seed and
    split."""
    splits: int = 1
    """How often the data are split anew. The papers: 10."""
    only: tuple[str, ...] = ()
    """Rows to train, by name; all by default."""


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(CompareOptions, DESCRIPTION, method="rankiqa")
    at_least(0, data_workers=options.data_workers or 0)
    at_least(1, workers=options.workers, splits=options.splits)
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        given = " ".join(map(str, options.seeds)) or "without a value"
        raise ConfigError(f"--seeds {given}: give at least one seed, and each once")
    rows, config = _chosen(_rows(options.study), options.only), options.config
    varied = {name: value for row in rows for name, value in row.values.items()}
    refuse_swept(config, varied, options.smoke, method="rankiqa")
    usual = (type(config)().distortions, RANKIQA.smoke["distortions"])
    if options.study == "levels" and config.distortions in usual:
        config = config.model_copy(update={"distortions": SIX_LEVELS})
    identity = {
        "config": config.model_dump(mode="json"),
        "data": options.data,
        "study": options.study,
        "seeds": options.seeds,
        "splits": options.splits,
        "only": options.only,
    }
    splits = [options.data.seed + number for number in range(options.splits)]
    first = prepare_data(options.data, RANKIQA, config)

    def prepare(split: int) -> Prepared:
        if split == options.data.seed:
            return first
        return prepare_data(replace(options.data, seed=split), RANKIQA, config)

    folder = result_folder(options.storage, "compare_rankiqa", "rankiqa", first, identity)
    storage = open_folder(options.storage)
    result = run_split_comparison(
        "rankiqa",
        config,
        rows,
        sorted(options.seeds),
        splits,
        prepare,
        folder,
        storage,
        options.workers,
        options.data_workers,
        note=f"{NOTE} Numbers of --smoke mean nothing." if options.smoke else NOTE,
    )
    print(comparison_report(result, folder, storage))
    return str(folder)


if __name__ == "__main__":
    run_job(main)
