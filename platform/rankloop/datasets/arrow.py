"""Changes to Arrow tables."""

from typing import Any

import pyarrow as pa


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    """Return a table with other values, of the same type, in one of its columns."""
    field = table.schema.field(name)
    place = table.schema.get_field_index(name)
    return table.set_column(place, field, pa.array(values, field.type))
