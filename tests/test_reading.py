import threading
import time

import pyarrow as pa
import pytest

from rankloop.reading import REMOTE_READS, in_order, reads_at_once


@pytest.mark.parametrize(
    ("uris", "expected"),
    [
        (["/a/b.jpg", "pack:/a/b.parquet#3", "package:skimage/data/coffee.png"], 1),
        (["data:image/png;base64,aGVsbG8="], 1),
        (["/a/b.jpg", "s3://bucket/b.jpg"], REMOTE_READS),
        (["pack:s3://bucket/b.parquet?region=x#3"], REMOTE_READS),
    ],
)
def test_several_remote_images_are_read_at_once(uris: list[str], expected: int):
    assert reads_at_once(pa.chunked_array([uris])) == expected


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_what_is_made_at_once_comes_in_order(at_once: int):
    def make(number: int) -> int:
        # The first ones are the slowest.
        time.sleep(0.01 * (8 - number))
        return number * number

    assert list(in_order(make, range(8), at_once)) == [n * n for n in range(8)]


def test_so_many_wait_together():
    together = threading.Barrier(5, timeout=20)
    assert len(list(in_order(lambda _: together.wait(), range(10), 5))) == 10


@pytest.mark.parametrize("at_once", [1, 4])
def test_an_error_comes_in_its_place(at_once: int):
    def make(number: int) -> int:
        if number in (3, 5):
            raise KeyError(number)
        return number

    found = in_order(make, range(8), at_once)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="3"):
        next(found)
