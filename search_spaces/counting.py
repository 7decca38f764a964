"""What a sweep of crowd counting may vary."""

from collections.abc import Sequence
from typing import Any

import optuna

from rankloop.models.density import DensityBackbone
from rankloop.ranking.nested_crops import CROPS, REGION, SCALE

BACKBONES: tuple[DensityBackbone, ...] = ("vgg16", "resnet18")

# The defaults of rankloop.methods.counting.
PAPER: dict[str, Any] = {
    "ranking_weight": 100.0,
    "margin": 0.0,
    "crops": CROPS,
    "crop_scale": SCALE,
    "anchor_region": REGION,
    "learning_rate": 1e-6,
    "least_patch": 56,
    "most_patch": 448,
    "backbone": "vgg16",
}
NOTE = (
    "The paper publishes λ, k, s, r, the sizes of patches, the learning rate (6.2) and VGG-16 with "
    "ImageNet weights; the margin is our documented default."
)


# A sweep's --ranked-images must hold a set of the most.
CROPS_RANGE = (2, 8)


def space(trial: optuna.Trial, backbones: Sequence[str] = BACKBONES) -> dict[str, Any]:
    """Draw one trial's hyperparameters."""
    return {
        "ranking_weight": trial.suggest_float("ranking_weight", 0.01, 1000.0, log=True),
        "margin": trial.suggest_float("margin", 0.0, 2.0),
        "crops": trial.suggest_int("crops", *CROPS_RANGE),
        "crop_scale": trial.suggest_float("crop_scale", 0.5, 0.9),
        "anchor_region": trial.suggest_float("anchor_region", 1.0, 16.0, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-8, 1e-5, log=True),
        "least_patch": trial.suggest_int("least_patch", 32, 112, step=8),
        "most_patch": trial.suggest_int("most_patch", 112, 896, step=16),
        "backbone": trial.suggest_categorical("backbone", list(backbones)),
    }


# Basic method of 5.3: labelled images alone.
SUPERVISED: dict[str, Any] = {"objective": "counting"}
BASELINE = "counting only"
