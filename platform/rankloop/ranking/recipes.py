"""Every ranked set by name."""

import difflib
from functools import partial

from rankloop.distortions import DISTORTIONS, MLIVE
from rankloop.errors import ConfigError
from rankloop.ranking.ladders import crossed_ladder, ladder
from rankloop.ranking.nested_crops import nested_crops
from rankloop.ranking.ranked_set import Recipe

RECIPES: dict[str, Recipe] = {
    **{name: partial(ladder, distortion=found) for name, found in DISTORTIONS.items()},
    **{
        name: partial(crossed_ladder, first=DISTORTIONS[first], second=DISTORTIONS[second])
        for name, (first, second) in MLIVE.items()
    },
    "nested_crops": nested_crops,
}


def find_recipe(name: str) -> Recipe:
    """Return how a ranked set is made, by its name.

    Raises:
        ConfigError: there is none of that name; says the nearest.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.4)
        hint = f"the nearest is {near[0]!r}" if near else f"known are {', '.join(RECIPES)}"
        raise ConfigError(f"unknown ranked set {name!r}: {hint}")
    return RECIPES[name]
