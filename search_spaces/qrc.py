"""What a sweep of SSRanking/QRC may vary."""

from typing import Any

import optuna

# The defaults of rankloop.methods.ssranking.
PAPER: dict[str, Any] = {
    "epsilon_ranking": 0.1,
    "epsilon_qrc": 0.05,
    "self_supervised_weight": 1.0,
    "learning_rate": 0.001,
    "blur_high": 4.0,
}


NOTE = (
    "The paper publishes the learning rate (4.1); margins, weight and blur strength are our "
    "documented defaults."
)
# Pixels; a sweep's --blur-low must not exceed the first.
BLUR_HIGH = (1.0, 6.0)


def space(trial: optuna.Trial) -> dict[str, Any]:
    """Draw one trial's hyperparameters."""
    return {
        "epsilon_ranking": trial.suggest_float("epsilon_ranking", 0.01, 0.5, log=True),
        "epsilon_qrc": trial.suggest_float("epsilon_qrc", 0.001, 0.3, log=True),
        "self_supervised_weight": trial.suggest_float(
            "self_supervised_weight", 0.05, 10.0, log=True
        ),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 3e-1, log=True),
        "blur_high": trial.suggest_float("blur_high", *BLUR_HIGH),
    }


# Paper, Table 2 "Baseline": the supervised branch alone.
SUPERVISED: dict[str, Any] = {"self_supervised_weight": 0.0}
BASELINE = "labels only"
