"""What a sweep of QCN may vary."""

from collections.abc import Sequence
from typing import Any

import optuna

from rankloop.models.image_encoder import EncoderName

PIVOTS = (101, 51, 21, 11)
BACKBONES: tuple[EncoderName, ...] = ("resnet50", "resnet18")
# A sweep's --channels must be a multiple of twice the most.
HEADS = (1, 2, 4, 8)
LOSSES = ("order", "metric", "center")

# The defaults of rankloop.methods.qcn_config.
PAPER: dict[str, Any] = {
    "pivots": 101,
    "images": 18,
    "lists": 3,
    "transformers": 3,
    "quantisation": "lloyd_max",
    "layout": "paper",
    "order_weight": 1.0,
    "metric_weight": 1.0,
    "center_weight": 1.0,
    "margin": 0.1,
    "learning_rate": 5e-5,
    "backbone": "resnet50",
}
NOTE = (
    "The paper publishes all of these (4.1) but the margin, which is that of the authors' code. "
    "The layout is that of the text (3.3); its φ, of which the text says too little to learn from, "
    "is ours."
)


def lists_per_step(images: int, per_step: int) -> int:
    """Return how many lists of so many images a step has, at most ``per_step`` if it can."""
    return max(1, per_step // images)


def space(
    trial: optuna.Trial,
    pivots: Sequence[int] = PIVOTS,
    backbones: Sequence[str] = BACKBONES,
    per_step: int = 54,
) -> dict[str, Any]:
    """Draw one trial's hyperparameters; those that depend on another only where it asks for them.

    Every trial has a budget of as many images per step as whole lists can hold.

    Args:
        trial: draws them.
        pivots: numbers of pivots to choose from, which the training scores can have.
        backbones: to choose from.
        per_step: images per step.
    """
    values: dict[str, Any] = {
        "pivots": trial.suggest_categorical("pivots", list(pivots)),
        "images": trial.suggest_int("images", 6, 24, step=6),
        "transformers": trial.suggest_int("transformers", 1, 5),
        "quantisation": trial.suggest_categorical(
            "quantisation", ["lloyd_max", "lloyd_max_pinned", "uniform"]
        ),
        "layout": trial.suggest_categorical("layout", ["paper", "code"]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-2, log=True),
        "backbone": trial.suggest_categorical("backbone", list(backbones)),
    }
    # A parameter like the others, since what is no parameter is not kept with the trial.
    lists = lists_per_step(values["images"], per_step)
    values["lists"] = trial.suggest_int("lists", lists, lists)
    for loss in LOSSES:
        name = f"{loss}_weight"
        values[name] = trial.suggest_float(name, 0.01, 10.0, log=True)
    values["margin"] = trial.suggest_float("margin", 0.01, 1.0, log=True)
    if values["layout"] == "code":
        values["heads"] = trial.suggest_categorical("heads", list(HEADS))
        values["drop_path"] = trial.suggest_float("drop_path", 0.0, 0.3)
    return values


# The same encoder without pivots and transformers.
SUPERVISED: dict[str, Any] = {"objective": "regression"}
BASELINE = "plain regression"
