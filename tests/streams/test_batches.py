import threading
import time
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch

from rankloop.errors import ConfigError, DataError
from rankloop.methods.method import ExampleStream
from rankloop.streams.batches import plain_batches, stack, worker_items


def number_row(name, step, item):
    """A row that says where it belongs."""
    rows = {"place": np.array([step, item, ord(name)]), "sign": np.array(1 - 2 * (item % 2), "i1")}
    return rows | {"images": np.full((2, 3, 3, 3), 16 * step + item, np.uint8)}


STREAMS = {
    "a": ExampleStream(4, partial(number_row, "a")),
    "b": ExampleStream(2, partial(number_row, "b")),
}


def batch_threads():
    return [thread for thread in threading.enumerate() if thread.name == "rankloop-batches"]


def same(one, other):
    return one.keys() == other.keys() and all(
        one[stream].keys() == other[stream].keys()
        and all(torch.equal(one[stream][column], other[stream][column]) for column in one[stream])
        for stream in one
    )


@pytest.mark.parametrize("workers", [1, 2, 3, 6])
def test_worker_items_deal_out_every_row_once(workers):
    stream = ExampleStream(6, partial(number_row, "a"))
    shares = [worker_items(stream, rank, workers) for rank in range(workers)]
    assert [item for share in shares for item in share] == list(range(6))
    assert {len(share) for share in shares} == {6 // workers}


def test_rows_that_cannot_be_dealt_out_are_refused():
    with pytest.raises(ConfigError, match=r"6 rows per step .* 4 workers"):
        worker_items(ExampleStream(6, partial(number_row, "a")), 0, 4)
    with pytest.raises(ConfigError, match="2 rows per step"):
        next(plain_batches(STREAMS, 0, 1, 0, 4))


def test_batches_are_the_rows_of_each_step():
    batches = list(plain_batches(STREAMS, 0, 5))
    assert len(batches) == 5
    for step, batch in enumerate(batches):
        assert batch.keys() == {"a", "b"}
        assert batch["a"]["place"].tolist() == [[step, item, ord("a")] for item in range(4)]
        assert batch["b"]["place"].tolist() == [[step, item, ord("b")] for item in range(2)]
        assert batch["a"]["sign"].tolist() == [1, -1, 1, -1]
        assert batch["a"]["sign"].dtype == torch.int8
        assert batch["a"]["images"].dtype == torch.uint8
        assert batch["a"]["images"].shape == (4, 2, 3, 3, 3)
        assert batch["a"]["images"][3].unique().tolist() == [16 * step + 3]


def test_rows_that_are_made_at_once_are_the_same():
    together = threading.Barrier(2, timeout=20)

    def row(step, item):
        together.wait()
        return number_row("a", step, item)

    found = list(plain_batches({"a": ExampleStream(4, row)}, 0, 3, reads_at_once=2))
    alone = list(plain_batches({"a": ExampleStream(4, partial(number_row, "a"))}, 0, 3))
    assert len(found) == 3
    assert all(map(same, found, alone))


def test_stack_puts_the_row_first():
    stacked = stack([number_row("a", 0, item) for item in range(3)])
    assert {name: tuple(tensor.shape) for name, tensor in stacked.items()} == {
        "place": (3, 3),
        "sign": (3,),
        "images": (3, 2, 3, 3, 3),
    }


@pytest.mark.parametrize("start", [1, 4, 6])
def test_a_restart_goes_on_with_the_same_batches(start):
    whole = list(plain_batches(STREAMS, 0, 6))
    rest = list(plain_batches(STREAMS, start, 6))
    assert len(rest) == 6 - start
    assert all(map(same, rest, whole[start:]))


def test_the_shares_of_two_workers_are_the_batch_of_one():
    shares = [list(plain_batches(STREAMS, 0, 4, rank, 2)) for rank in range(2)]
    for step, whole in enumerate(plain_batches(STREAMS, 0, 4)):
        joined = {
            name: {
                column: torch.cat([share[step][name][column] for share in shares])
                for column in whole[name]
            }
            for name in whole
        }
        assert same(joined, whole)


def test_the_error_of_a_row_comes_out_where_the_row_would_be():
    def row(step, item):
        if step == 3:
            raise DataError(f"no image for item {item}")
        return number_row("a", step, item)

    batches = plain_batches({"a": ExampleStream(2, row)}, 0, 6)
    assert len(list(islice(batches, 3))) == 3
    with pytest.raises(DataError, match="no image for item 0"):
        next(batches)
    assert not batch_threads()


def test_only_a_few_batches_are_made_ahead():
    made = []

    def row(step, item):
        made.append(step)
        return number_row("a", step, item)

    batches = plain_batches({"a": ExampleStream(1, row)}, 0, 1000)
    next(batches)
    time.sleep(0.3)
    assert len(made) <= 5
    batches.close()


def test_closing_early_stops_the_thread():
    batches = plain_batches(STREAMS, 0, 1_000_000)
    next(batches)
    assert len(batch_threads()) == 1
    batches.close()
    assert not batch_threads()
