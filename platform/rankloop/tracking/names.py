"""Names and values as MLflow takes them."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

LONGEST_PARAM = 6000


def valid_name(name: str) -> str:
    """Return a name without what MLflow refuses in one, such as the "+" of "+QRC"."""
    return re.sub(r"[^\w.\-:/ ]", "", name).strip("/ ")[:250]


def flat_params(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return parameters as text, nested ones by names with a dot, long ones cut."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_params(value, f"{prefix}{name}.")
        else:
            text = json.dumps(value) if isinstance(value, (list, tuple, dict)) else str(value)
            flat[valid_name(f"{prefix}{name}")] = text[:LONGEST_PARAM]
    return flat


def quoted_key(key: str) -> str:
    """Return a key of a run as a filter of MLflow may hold it between quotes."""
    return quote(key, safe="/:@ ,.+-")
