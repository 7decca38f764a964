"""What a run of a comparison leaves to look at."""

from dataclasses import replace

from matplotlib.image import imread

from rankloop.datasets.loaders import file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.methods.configuration import make_config
from rankloop.methods.counting import COUNTING
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.method import TrainingData
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training.loop import Schedule, train
from rankloop.tuning.run_context import RunContext
from rankloop.tuning.run_result import is_whole, make_run_result

CROWD_FIGURES = {f"plots/test_{name}.png" for name in ("density", "count_errors", "ranked_sets")}


def test_runs_that_are_tested_show_maps_errors_and_nested_crops(tmp_path):
    config = make_config(CountingConfig, {**COUNTING.smoke, "labelled_images": 2, "steps": 2})
    dataset = open_dataset(["discs"], seed=0, learns_from="points")
    context = RunContext(
        method="counting",
        base=config,
        data=TrainingData(dataset, file_loader(dataset, None)),
        folder=open_folder(str(tmp_path)),
        schedule=Schedule(evaluate_every=2, checkpoint_every=2),
        metric="mae",
        splits=("validation", "test"),
    )
    run = context.run_folder("a")
    assert not is_whole(context, "a")
    train(
        COUNTING,
        config,
        context.data,
        run,
        seed=0,
        schedule=context.schedule,
        open_streams=plain_batches,
    )
    assert not is_whole(context, "a")
    made = make_run_result(context, "a")
    assert is_whole(context, "a")
    longer = config.model_copy(update={"steps": 3})
    assert not is_whole(replace(context, base=longer), "a")
    # These names are what goes to the run in MLflow.
    assert set(made) >= CROWD_FIGURES
    for name in CROWD_FIGURES:
        assert imread(f"{run}/{name}").std() > 0
