"""What a sweep of MT-RankIQA may vary."""

from collections.abc import Sequence
from typing import Any

import optuna

from rankloop.distortions import RANKIQA_TID2013
from rankloop.models.scorer import Backbone

# Ladders of the papers: TID2013's 17 types, and those of LIVE and CSIQ.
DISTORTIONS = (" ".join(RANKIQA_TID2013), "gaussian_blur gaussian_noise jpeg jpeg2000")
LEVELS = ("0 1 2 3 4", "0 2 4", "1 2 3 4")
BACKBONES: tuple[Backbone, ...] = ("vgg16", "resnet50", "resnet18", "shallow")

# The defaults of rankloop.methods.rankiqa.
PAPER: dict[str, Any] = {
    "ranking_weight": 1.0,
    "margin": 0.5,
    "learning_rate": 1e-5,
    "distortions": DISTORTIONS[0],
    "levels": LEVELS[0],
    "backbone": "vgg16",
}
NOTE = (
    "The paper publishes the weight (6.1: 1), the learning rate (1e-5 on TID2013, 1e-6 on LIVE), "
    "ladders, levels and VGG-16 with ImageNet weights; the margin is our documented default."
)


def space(trial: optuna.Trial, backbones: Sequence[str] = BACKBONES) -> dict[str, Any]:
    """Draw one trial's hyperparameters."""
    return {
        "ranking_weight": trial.suggest_float("ranking_weight", 0.01, 100.0, log=True),
        "margin": trial.suggest_float("margin", 0.05, 5.0, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-1, log=True),
        "distortions": trial.suggest_categorical("distortions", DISTORTIONS),
        "levels": trial.suggest_categorical("levels", LEVELS),
        "backbone": trial.suggest_categorical("backbone", list(backbones)),
    }


# Table 1, "Baseline": labels alone.
SUPERVISED: dict[str, Any] = {"objective": "regression"}
BASELINE = "labels only"
