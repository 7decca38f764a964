"""What one run of a sweep or a comparison found: its result.json and its pictures."""

from matplotlib.figure import Figure

from rankloop.datasets.dataset import Split
from rankloop.figures import save_figures
from rankloop.methods import find_method
from rankloop.methods.configuration import make_config
from rankloop.plots.training_curves import training_curves
from rankloop.training.checkpoints import Checkpoint, load_latest, newest_step
from rankloop.training.crowd_figures import crowd_figures
from rankloop.training.experiment import write_result
from rankloop.training.final import final_model, past_reports, replaced_images
from rankloop.training.first_batch import first_batch_figures
from rankloop.training.publishing import scores_figure
from rankloop.training.scored_sets import scored_sets_figure
from rankloop.tuning.run_context import RunContext

PLOTS = "plots"


def make_run_result(context: RunContext, name: str) -> list[str]:
    """Write a run's ``result.json`` and plots, unless those of its last step are there already.

    A run that was stopped early gets what is known of it: configuration, validation metrics where
    it was stopped, training curves.

    Returns:
        Their names in the run's folder; none for a run that never saved anything.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """
    run = context.run_folder(name)
    if run.has("result.json"):
        known = run.read_json("result.json")
        step = newest_step(run / "checkpoints")
        wanted = list(_splits(context, known["steps_trained"])) or ["validation"]
        if known["steps_trained"] == step and list(known["metrics"]) == wanted:
            return ["result.json", *(f"{PLOTS}/{file}" for file in (run / PLOTS).names())]
    checkpoint = load_latest(run / "checkpoints")
    if checkpoint is None:
        return []
    return _made(context, name, checkpoint, list(_splits(context, checkpoint.step)))


def is_whole(context: RunContext, name: str) -> bool:
    """Whether a run has trained its full budget and has its ``result.json``."""
    run = context.run_folder(name)
    if not run.has("result.json"):
        return False
    trained = run.read_json("result.json")["steps_trained"]
    return bool(trained == context.base.steps == newest_step(run / "checkpoints"))


def _splits(context: RunContext, step: int) -> tuple[Split, ...]:
    return context.splits if step == context.base.steps else ()


def _made(context: RunContext, name: str, checkpoint: Checkpoint, splits: list[Split]) -> list[str]:
    run, data, method = context.run_folder(name), context.data, find_method(context.method)
    config = make_config(type(context.base), checkpoint.config["config"])
    reports = past_reports(checkpoint)
    figures: dict[str, Figure | None] = {
        "training_curves.png": training_curves(reports),
        **first_batch_figures(method, config, data, checkpoint.config["seed"]),
    }
    metrics = {"validation": dict(reports[-1].metrics) if reports else {}}
    if splits:
        final = final_model(method, config, run, data, splits)
        metrics = final.metrics
        for split in splits:
            figures[f"{split}_scores.png"] = scores_figure(method, final, data, split)
        if "test" in splits:
            figures |= crowd_figures(method, final, data)
            figures["test_ranked_sets.png"] = scored_sets_figure(method, final, data)
    files = save_figures(run, figures, annotator=data.dataset.annotator)
    # Last, since its presence says that the pictures are there too.
    write_result(
        run,
        method,
        config,
        data.dataset,
        seeds=[checkpoint.config["seed"]],
        metrics=metrics,
        more={
            "steps_trained": checkpoint.step,
            "replaced_images": replaced_images(checkpoint, data.dataset),
        },
    )
    return ["result.json", *files]
