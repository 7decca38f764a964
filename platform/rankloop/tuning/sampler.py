"""Optuna's TPE, with no random state that lives only in the driver."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from rankloop.randomness import derived_seed


class SeededSampler(TPESampler):
    """Tree-structured Parzen estimator for one trial: made anew for each.

    What it suggests is a function of the seed, the trial's number, the parameter's name and the
    trials known so far; a driver that died between two parameters draws the second as it would
    have been.

    Args:
        seed: the sweep's seed.
        number: the trial's number.
    """

    def __init__(self, seed: int, number: int) -> None:
        super().__init__(**_options(derived_seed(seed, "suggestion", number)))
        self._identity = (seed, number)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter from a generator of its own."""
        seed, number = self._identity
        own = TPESampler(**_options(derived_seed(seed, "suggestion", number, param_name)))
        return own.sample_independent(study, trial, param_name, param_distribution)


def _options(seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "n_startup_trials": 4,
        "multivariate": True,
        "group": True,
        # Several trials run at once: do not suggest where one is already looking.
        "constant_liar": True,
    }
