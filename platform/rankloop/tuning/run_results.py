"""A result.json and pictures for every run of a sweep or a comparison, made on the cluster."""

from collections.abc import Mapping, Sequence

import ray
from matplotlib.figure import Figure

from rankloop.datasets.dataset import Split
from rankloop.figures import save_figures
from rankloop.methods import find_method
from rankloop.methods.configuration import make_config
from rankloop.plots.training_curves import training_curves
from rankloop.progress import counter
from rankloop.tracking import Tracking
from rankloop.training.checkpoints import Checkpoint, load_latest
from rankloop.training.experiment import write_result
from rankloop.training.final import final_model, past_reports
from rankloop.training.first_batch import first_batch_figures
from rankloop.training.publishing import scores_figure
from rankloop.tuning.runs import RunContext

PLOTS = "plots"


def add_run_results(
    context: RunContext, tracking: Tracking, run_ids: Mapping[str, str], splits: Sequence[Split]
) -> list[dict[str, str]]:
    """Write ``result.json`` and plots into every run's folder and log them to its MLflow run.

    Runs that were stopped early get what is known of them: configuration, validation metrics where
    they were stopped, training curves. Results that are there already are not made again.

    Args:
        context: what the runs share.
        tracking: MLflow.
        run_ids: name of each run to its MLflow run.
        splits: what finished runs are evaluated on.

    Returns:
        ``run`` and ``error`` of each run that could not be evaluated.
    """
    task = ray.remote(num_cpus=1, num_gpus=context.gpus)(_add_run_result)
    shared = ray.put(context)
    waiting = {task.remote(shared, name, list(splits)): name for name in run_ids}
    failures = []
    with counter("runs evaluated") as progress:
        while waiting:
            (ready,), _ = ray.wait(list(waiting))
            name = waiting.pop(ready)
            try:
                tracking.log_files(run_ids[name], context.run_folder(name), ray.get(ready))
            except ray.exceptions.RayError as error:
                failures.append({"run": name, "error": str(getattr(error, "cause", error))})
            progress(len(run_ids) - len(waiting), len(run_ids))
    return failures


def _add_run_result(context: RunContext, name: str, splits: list[Split]) -> list[str]:
    run = context.run_folder(name)
    checkpoint = load_latest(run / "checkpoints")
    if checkpoint is None:
        return []
    finished = checkpoint.step == context.base.steps
    wanted = splits if finished else ["validation"]
    if run.has("result.json"):
        known = run.read_json("result.json")
        if known["steps_trained"] == checkpoint.step and list(known["metrics"]) == wanted:
            return ["result.json", *(f"{PLOTS}/{file}" for file in (run / PLOTS).names())]
    return _made(context, name, checkpoint, splits if finished else [])


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
    files = save_figures(run, figures, annotator=data.dataset.annotator)
    # Last, since its presence says that the pictures are there too.
    write_result(
        run,
        method,
        config,
        data.dataset,
        seeds=[checkpoint.config["seed"]],
        metrics=metrics,
        more={"steps_trained": checkpoint.step},
    )
    return ["result.json", *files]
