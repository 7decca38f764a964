"""What a distortion is: named parameters of the papers, and one way to make all levels together."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankloop.errors import ConfigError
from rankloop.images import check_image

# A distortion's own: a number, or several (chromatic aberration moves two channels).
Parameter = Any
# Where a maker puts what it makes: uint8 (h, w, 3) each. New arrays would cost more time than the
# cheapest distortions themselves.
Versions = Sequence[np.ndarray]
Make = Callable[[np.ndarray, np.random.Generator, Sequence[Parameter], Versions], None]


@dataclass(frozen=True)
class Distortion:
    """A transformation h(x, φ) whose levels rank an image's versions: a higher level is worse.

    Attributes:
        name: as in DISTORTIONS.
        parameters: φ of level 1, 2, …; level 0 is the image itself.
        meaning: what a parameter is, with its unit.
        source: where the parameters come from.
        make: (image, generator, parameters, versions): puts the image with each parameter into
            the version at the same place; what it draws must not depend on which parameters it is
            given.
        is_monotone: False where the parameters do not promise that a higher level is worse.
        reach: number of pixels around an image that it may look at, or parameter to that number.
    """

    name: str
    parameters: tuple[Parameter, ...]
    meaning: str
    source: str
    make: Make
    is_monotone: bool = True
    reach: int | Callable[[Parameter], int] = 0

    @property
    def levels(self) -> range:
        """All levels, 0 included."""
        return range(len(self.parameters) + 1)

    def ladder(
        self,
        image: np.ndarray,
        generator: np.random.Generator,
        levels: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Return an image's versions at several levels, made together.

        A version is the same bytes whichever other levels are asked for. The generator is used up
        to a place that is not specified: give each ladder its own.

        Args:
            image: uint8 (h, w, 3), RGB, of any size; not changed.
            generator: of this image and ladder, from `rankloop.randomness.rng`.
            levels: in [0, number of parameters], in any order; None for all.

        Returns:
            uint8 (n, h, w, 3), version i at ``levels[i]``.

        Raises:
            ConfigError: a level is unknown or there are none.
            TypeError: a level is no integer.
            ValueError: not such an image.
        """
        check_image(image)
        wanted = self.checked_levels(levels)
        distinct = sorted(set(wanted) - {0})
        # The input is never changed: no maker can, whatever it does.
        source = image.view()
        source.setflags(write=False)
        result = np.empty((len(wanted), *image.shape), np.uint8)
        places = {level: wanted.index(level) for level in distinct}
        if distinct:
            parameters = [self.parameters[level - 1] for level in distinct]
            self.make(source, generator, parameters, [result[places[level]] for level in distinct])
        for i, level in enumerate(wanted):
            if places.get(level) != i:
                result[i] = result[places[level]] if level else image
        return result

    def checked_levels(self, levels: Sequence[int] | None) -> list[int]:
        """Return the levels as a list, all of them for None.

        Raises:
            ConfigError: a level is unknown, or there are none.
        """
        wanted = (
            list(self.levels) if levels is None else [operator.index(level) for level in levels]
        )
        unknown = [level for level in wanted if level not in self.levels]
        if unknown or not wanted:
            raise ConfigError(
                f"levels {unknown or 'none'} of {self.name}: give at least one of 0 to "
                f"{len(self.parameters)}"
            )
        return wanted

    def halo(self, levels: Sequence[int] | None = None) -> int:
        """Return how many pixels around an image the strongest of the levels looks at."""
        wanted = [self.parameters[level - 1] for level in self.checked_levels(levels) if level]
        reach = self.reach
        found = [reach if isinstance(reach, int) else reach(parameter) for parameter in wanted]
        return max(found, default=0)
