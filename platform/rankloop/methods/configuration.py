"""Configurations from plain values: unknown keys are refused with the nearest right name."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rankloop.errors import ConfigError

C = TypeVar("C", bound=BaseModel)


def make_config(config_type: type[C], values: Mapping[str, Any]) -> C:
    """Return a method's configuration.

    Raises:
        ConfigError: an unknown key (naming the nearest), or a value out of its range (naming it).
    """
    known = list(config_type.model_fields)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"the nearest is {near[0]!r}" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown configuration key {key!r}: {hint}")
    try:
        return config_type(**values)
    except ValidationError as error:
        raise ConfigError("; ".join(_sentence(item) for item in error.errors())) from error


def _sentence(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "configuration"
    return f"{name} = {item['input']!r}: {item['msg']}"
