import numpy as np
import pyarrow as pa

from rankloop.datasets.dataset import (
    IMAGE_SCHEMA,
    PAIR_SCHEMA,
    Dataset,
    pair_indices,
    split_indices,
)

SPLIT_OF = {"a": "train", "b": "test", "c": "train", "d": "test", "e": "train", "f": "train"}


def dataset(chunks: int) -> Dataset:
    rows = [
        {"image": name, "uri": name, "source": name, "split": split}
        for name, split in SPLIT_OF.items()
    ]
    pairs = [
        {"better": "e", "worse": "a", "split": "train"},
        {"better": "b", "worse": "d", "split": "test"},
        {"better": "a", "worse": "c", "split": "train"},
    ]
    step = len(rows) // chunks
    images = pa.concat_tables(
        pa.Table.from_pylist(rows[i : i + step], schema=IMAGE_SCHEMA)
        for i in range(0, len(rows), step)
    )
    table = pa.Table.from_pylist(pairs, schema=PAIR_SCHEMA)
    return Dataset("x", images, table, None, None, "human")


def test_indices_are_rows_of_the_image_table_whatever_its_chunks() -> None:
    for chunks in (1, 3):
        data = dataset(chunks)
        assert split_indices(data, "train").tolist() == [0, 2, 4, 5]
        assert split_indices(data, "validation").tolist() == []
        better, worse = pair_indices(data, "train")
        assert better.tolist() == [4, 0]
        assert worse.tolist() == [0, 2]
        assert better.dtype == worse.dtype == np.int64
        empty, _ = pair_indices(data, "validation")
        assert empty.shape == (0,)
        assert empty.dtype == np.int64
