"""Ray Data gives the rows that a plain iterator gives, byte by byte, however many tasks it has."""

import sys
from functools import partial

import numpy as np
import pytest
import ray
import torch

import rankloop.streams.ray_batches as module
from rankloop.errors import DataError
from rankloop.methods.method import ExampleStream
from rankloop.ranking.quadruplets import BlurRange, quadruplet
from rankloop.streams.batches import plain_batches
from rankloop.streams.ray_batches import ray_batches

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_session")]

SIDE, ROWS_PER_STEP, STEPS = 16, 50, 20
# Workers cannot import a test file.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
IMAGES = np.random.default_rng(0).integers(0, 256, (30, SIDE, SIDE, 3), np.uint8)


def quadruplet_row(seed, step, item):
    blur = BlurRange(("gaussian", "defocus", "motion"), 0.5, 2.0)
    load = IMAGES.__getitem__
    return {"images": quadruplet(load, len(IMAGES), blur, seed=seed, step=step, item=item)}


def streams(seed=3):
    return {"unlabelled": ExampleStream(ROWS_PER_STEP, partial(quadruplet_row, seed))}


def images(batches):
    return [batch["unlabelled"]["images"] for batch in batches]


@pytest.fixture(scope="module")
def plain():
    found = images(plain_batches(streams(), 0, STEPS))
    assert sum(map(len, found)) == 1000
    return found


@pytest.mark.parametrize(("data_workers", "reads_at_once"), [(1, 1), (2, 1), (2, 8)])
def test_the_first_thousand_rows_are_the_same_bytes(plain, data_workers, reads_at_once):
    found = images(
        ray_batches(streams(), 0, STEPS, data_workers=data_workers, reads_at_once=reads_at_once)
    )
    assert len(found) == STEPS
    for ours, theirs in zip(plain, found, strict=True):
        assert theirs.dtype == torch.uint8
        assert theirs.shape == (ROWS_PER_STEP, 4, SIDE, SIDE, 3)
        assert torch.equal(ours, theirs)


def test_a_restart_goes_on_with_the_same_bytes(plain):
    found = images(ray_batches(streams(), 13, STEPS, data_workers=2))
    assert len(found) == STEPS - 13
    assert all(map(torch.equal, plain[13:], found))


def test_another_seed_gives_other_rows(plain):
    (other,) = images(ray_batches(streams(4), 0, 1, data_workers=1))
    assert not torch.equal(other, plain[0])


def test_the_shares_of_two_workers_are_the_batch_of_one(plain):
    shares = [images(ray_batches(streams(), 0, 2, rank, 2, data_workers=1)) for rank in range(2)]
    for step in range(2):
        assert torch.equal(torch.cat([share[step] for share in shares]), plain[step])


def test_datasets_follow_each_other_without_a_seam(plain, monkeypatch):
    monkeypatch.setattr(module, "STEPS_PER_DATASET", 3)
    found = images(ray_batches(streams(), 1, 8, data_workers=2))
    assert len(found) == 7
    assert all(map(torch.equal, plain[1:8], found))


def test_several_streams_keep_step():
    def row(step, item):
        return {"place": np.array([step, item]), "sign": np.array(-1, np.int8)}

    two = {"a": ExampleStream(2, row), "b": ExampleStream(3, row)}
    for step, batch in enumerate(ray_batches(two, 0, 4, data_workers=1)):
        assert batch["a"]["place"].tolist() == [[step, item] for item in range(2)]
        assert batch["b"]["place"].tolist() == [[step, item] for item in range(3)]
        assert batch["a"]["sign"].shape == (2,)
        assert batch["a"]["sign"].dtype == torch.int8


def test_steps_are_whole_whatever_their_size():
    # Some steps to a block, one step to a block, and blocks that a task does not divide into.
    for size in (10, 2**20, 20 * 2**20):

        def row(step, item, size=size):
            return {"x": np.full(size, 10 * step + item, np.uint8)}

        batches = ray_batches({"a": ExampleStream(2, row)}, 3, 22, data_workers=2)
        found = [batch["a"]["x"][:, [0, -1]].tolist() for batch in batches]
        assert found == [[[10 * s, 10 * s], [10 * s + 1, 10 * s + 1]] for s in range(3, 22)]


def test_the_data_error_of_a_row_comes_out_as_it_is():
    def row(step, item):
        if step == 2:
            raise DataError(f"no readable image for step {step}, item {item}")
        return {"x": np.zeros(1)}

    with pytest.raises(DataError) as caught:
        list(ray_batches({"a": ExampleStream(1, row)}, 0, 4, data_workers=1))
    assert str(caught.value) == "no readable image for step 2, item 0"


@pytest.mark.parametrize("broken", [0, 1])
def test_another_error_of_a_row_keeps_its_message(broken):
    def row(step, item):
        if step == broken:
            raise RuntimeError("something else")
        return {"x": np.zeros(1)}

    with pytest.raises(DataError, match="something else"):
        list(ray_batches({"a": ExampleStream(1, row)}, 0, 2, data_workers=1))


def test_leaving_early_leaves_nothing_behind():
    batches = ray_batches(streams(), 0, STEPS, data_workers=2)
    next(batches)
    batches.close()
    assert len(images(ray_batches(streams(), 0, 1, data_workers=1))) == 1
