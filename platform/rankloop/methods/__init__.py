"""Methods by name, for command lines and checkpoints."""

import difflib

from rankloop.errors import ConfigError
from rankloop.methods.counting import COUNTING
from rankloop.methods.gol import GOL
from rankloop.methods.method import Method
from rankloop.methods.qcn import QCN
from rankloop.methods.rankiqa import RANKIQA
from rankloop.methods.ssranking import SSRANKING

METHODS: dict[str, Method] = {
    method.name: method for method in (SSRANKING, RANKIQA, QCN, GOL, COUNTING)
}


def find_method(name: str) -> Method:
    """Return a method by its name.

    Raises:
        ConfigError: there is none of that name; says the nearest.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.0)
        raise ConfigError(f"unknown method {name!r}: the nearest is {near[0]!r}")
    return METHODS[name]
