"""What a distortion is: named parameters of the papers, and one way to make all levels together."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankloop.errors import ConfigError
from rankloop.images import check_image

# A distortion's own: a number, or several (chromatic aberration moves two channels).
Parameter = Any
Make = Callable[[np.ndarray, np.random.Generator, Sequence[Parameter]], list[np.ndarray]]


def _no_reach(parameter: Parameter) -> int:
    return 0


@dataclass(frozen=True)
class Distortion:
    """A transformation h(x, φ) whose levels rank an image's versions: a higher level is worse.

    Attributes:
        name: as in DISTORTIONS.
        parameters: φ of level 1, 2, …; level 0 is the image itself.
        meaning: what a parameter is, with its unit.
        source: where the parameters come from.
        make: (image, generator, parameters) to one new image per parameter; what it draws must not
            depend on which parameters it is given.
        is_monotone: False where the parameters do not promise that a higher level is worse.
        reach: parameter to the number of pixels around an image that it may look at.
    """

    name: str
    parameters: tuple[Parameter, ...]
    meaning: str
    source: str
    make: Make
    is_monotone: bool = True
    reach: Callable[[Parameter], int] = _no_reach

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
            ValueError: not such an image.
        """
        check_image(image)
        wanted = self.checked_levels(levels)
        distinct = sorted(set(wanted) - {0})
        # The input is never changed: no maker can, whatever it does.
        source = image.view()
        source.setflags(write=False)
        made: list[np.ndarray] = []
        if distinct:
            made = self.make(source, generator, [self.parameters[level - 1] for level in distinct])
        versions = dict(zip(distinct, made, strict=True)) | {0: image}
        result = np.empty((len(wanted), *image.shape), np.uint8)
        for i, level in enumerate(wanted):
            result[i] = versions[level]
        return result

    def checked_levels(self, levels: Sequence[int] | None) -> list[int]:
        """Return the levels as a list, all of them for None.

        Raises:
            ConfigError: a level is unknown, or there are none.
        """
        wanted = list(self.levels) if levels is None else [int(level) for level in levels]
        unknown = [level for level in wanted if level not in self.levels]
        if unknown or not wanted:
            raise ConfigError(
                f"levels {unknown or 'none'} of {self.name}: give at least one of 0 to "
                f"{len(self.parameters)}"
            )
        return wanted

    def halo(self, levels: Sequence[int] | None = None) -> int:
        """Return how many pixels around an image the strongest of the levels looks at."""
        wanted = [level for level in self.checked_levels(levels) if level]
        return max((math.ceil(self.reach(self.parameters[i - 1])) for i in wanted), default=0)
