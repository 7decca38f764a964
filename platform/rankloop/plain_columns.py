"""Columns of tables from outside: plain values only.

Ray Data registers an Arrow type of pickled objects, which run code of the file's author when they
are looked at. Reading the schema alone runs nothing, but for one setting, see `refuse_pickles`.
"""

import os
import sys

import pyarrow as pa

# Has Ray Data unpickle what files say of its tensors, where it is not JSON: while a schema is read.
_PICKLED_METADATA = "RAY_DATA_AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA"
# Plain values for the environment of Ray's processes.
ENVIRONMENT = {_PICKLED_METADATA: "0"}


def refuse_pickles() -> None:
    """Turn off Ray Data's setting that unpickles, here and in processes started from here."""
    os.environ.update(ENVIRONMENT)
    # Read when it was imported.
    loaded = sys.modules.get("ray.data._internal.tensor_extensions.arrow")
    if loaded is not None:
        loaded._AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA = False  # type: ignore[attr-defined]


def check_plain(schema: pa.Schema) -> None:
    """Refuse columns of extension types, wherever in a type they are.

    Raises:
        ValueError: names the column and its type.
    """
    for field in schema:
        if not _is_plain(field.type):
            raise ValueError(
                f"column {field.name!r} is of the type {field.type}, which may run code when it is "
                "read: save it as numbers, text or lists of them"
            )


def _is_plain(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return False
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return all(_is_plain(kind.field(i).type) for i in range(kind.num_fields))
