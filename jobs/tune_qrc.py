"""Sweep SSRanking/QRC over Ray."""

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from rankloop.command_line import JobOptions, at_least, parse, refuse_swept, run_job
from rankloop.errors import ConfigError
from rankloop.methods.ssranking import SSRANKING
from rankloop.storage import open_folder
from rankloop.training.experiment import prepare_data, result_folder
from rankloop.tuning.report import sweep_report
from rankloop.tuning.sweep import SweepPlan, run_sweep
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


@dataclass(frozen=True)
class TuneOptions(JobOptions):
    """Options of jobs/tune_qrc.py; --workers is the number of trials at once."""

    trials: int = 20
    """Number of trials, the paper's configuration included."""
    evaluations: int = 9
    """How often a trial is evaluated; it may be stopped after the 1st, the 3rd, the 9th ..."""


def main() -> str:
    """Run the job and return its result folder."""
    options = parse(TuneOptions, DESCRIPTION, smoke=SMOKE)
    at_least(0, data_workers=options.data_workers or 0)
    at_least(1, workers=options.workers, trials=options.trials, evaluations=options.evaluations)
    config = options.config
    refuse_swept(config, qrc.PAPER, options.smoke)
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
    identity = {
        "config": config.model_dump(mode="json"),
        "data": options.data,
        "trials": options.trials,
        "evaluations": options.evaluations,
        # An edited search space is another sweep.
        "space": Path(qrc.__file__).read_text(),
    }
    prepared = prepare_data(options.data, SSRANKING, config)
    folder = result_folder(options.storage, "tune_qrc", "ssranking", prepared, identity)
    storage = open_folder(options.storage)
    result = run_sweep(
        "ssranking",
        config,
        prepared,
        folder,
        storage,
        SweepPlan(
            space=qrc.space,
            paper=qrc.PAPER,
            supervised=qrc.SUPERVISED,
            note=qrc.NOTE,
            trials=options.trials,
            at_once=options.workers,
            seed=options.data.seed,
            evaluations=options.evaluations,
            registered=not options.smoke,
            data_workers=options.data_workers,
        ),
    )
    print(sweep_report(result, folder, storage))
    return str(folder)


if __name__ == "__main__":
    run_job(main)
