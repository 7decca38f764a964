"""The estimate of a sweep keeps to what nobody can beat, and moves as its inputs say."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rankloop import packed
from rankloop.datasets import pack
from rankloop.tuning import estimate as module
from rankloop.tuning.estimate import REMEDIES, SweepSize, estimate, estimate_table

rates = st.floats(1.0, 1e5)
sizes = st.builds(
    SweepSize,
    photos=st.integers(1, 10**8),
    bytes_per_photo=st.floats(1e3, 1e7),
    packed=st.booleans(),
    trials=st.integers(1, 500),
    at_once=st.integers(0, 100),
    steps=st.integers(1, 10**6),
    share_trained=st.floats(0.01, 1.0),
    evaluations=st.integers(0, 50),
    validation_photos=st.integers(0, 10**6),
    gpus=st.integers(1, 256),
    on_cpu=st.booleans(),
    gpus_per_node=st.integers(1, 8),
    cores_per_gpu=st.floats(0.5, 64.0),
    data_workers=st.integers(0, 32),
    decoded_per_second=rates,
    sets_per_second=rates,
    trained_per_second=rates,
    scored_per_second=rates,
)
# Everything but the network takes no time.
BOUND_BY_GPU = SweepSize(
    photos=1,
    validation_photos=0,
    decoded_per_second=1e15,
    sets_per_second=1e15,
    read_seconds=0.0,
    bytes_per_second=1e15,
    node_bytes_per_second=1e15,
    reads_per_second=1e15,
    trial_seconds=0.0,
    trials=128,
)


def changed(size, **values):
    return SweepSize(**{**size.model_dump(), **values})


def test_twice_the_gpus_take_half_the_hours_where_gpus_are_the_limit():
    before, after = (estimate(changed(BOUND_BY_GPU, gpus=gpus)) for gpus in (16, 32))
    assert before.bottleneck == "training"
    assert after.hours == pytest.approx(before.hours / 2)
    # 128 trials x 0.3 x 10,000 steps x 360 images at 840 a second, 16 at once.
    assert before.hours == pytest.approx(128 * 3000 * 360 / 840 / 16 / 3600)


def test_more_gpus_than_trials_help_nothing():
    few, many = (estimate(changed(BOUND_BY_GPU, gpus=gpus)) for gpus in (128, 512))
    assert many.hours == few.hours
    assert many.dollars > few.dollars


def test_a_million_photographs_read_about_what_their_steps_ask_for():
    size = SweepSize(packed=False, validation_photos=0)
    found = estimate(size)
    # Of each its size is asked for, too.
    assert found.reads == 2 * (100 * 3000 * 240 + 1_000_000)
    assert found.bytes_read == pytest.approx(found.reads / 2 * 150_000)


def test_small_photographs_in_a_pack_bring_their_neighbours():
    alone, together = (
        estimate(SweepSize(packed=packed, bytes_per_photo=10_000)) for packed in (False, True)
    )
    assert together.bytes_read > 10 * alone.bytes_read


def test_a_pack_that_fits_the_kept_groups_is_read_once():
    found = estimate(SweepSize(photos=100, bytes_per_photo=50_000))
    assert found.reads == 100 * 50_000 / (module.GROUP_BYTES - 25_000)
    assert found.bytes_read == 100 * 50_000


def test_groups_are_those_of_packs():
    assert packed._GROUP_BYTES == module.GROUP_BYTES
    assert packed._GROUPS == module.GROUPS_KEPT
    assert packed._PARSED_SHARDS == module.SHARDS_PARSED
    assert pack.SHARD_BYTES == module.SHARD_BYTES


def test_on_cpus_the_network_and_the_rows_share_the_core():
    size = SweepSize(on_cpu=True, cores_per_gpu=1.0, trained_per_second=10.0, photos=100)
    found = estimate(size)
    rows = 240 / size.decoded_per_second + 60 / size.sets_per_second
    assert found.parts["cores"] == pytest.approx(36.0 + rows)
    assert found.step_seconds == found.parts["cores"]


@pytest.mark.parametrize(
    ("values", "bottleneck"),
    [
        ({"trained_per_second": 10.0}, "training"),
        ({"cores_per_gpu": 1.0, "reads_per_second": 1e9, "data_workers": 99}, "cores"),
        ({"data_workers": 1}, "tasks"),
        ({"gpus_per_node": 8, "node_bytes_per_second": 1e7}, "link"),
        ({"gpus": 256, "trials": 256}, "bucket"),
        ({"validation_photos": 1_000_000}, "validation"),
        ({"trials": 1, "head_cores": 1}, "check"),
    ],
)
def test_each_part_can_be_the_bottleneck_and_has_its_remedy(values, bottleneck):
    found = estimate(SweepSize(**values))
    assert found.bottleneck == bottleneck
    assert found.remedy == REMEDIES[bottleneck]


@given(sizes)
def test_no_step_is_faster_than_any_of_its_parts(size):
    found = estimate(size)
    assert all(math.isfinite(value) and value >= 0 for value in found.parts.values())
    assert found.step_seconds == max(found.parts.values())
    at_once = min(size.at_once or size.gpus, size.gpus)
    images = size.trials * size.share_trained * size.steps * size.images_per_step
    assert found.hours * 3600 >= 0.999 * images / size.trained_per_second / at_once
    assert found.bytes_read >= size.photos * size.bytes_per_photo
    assert found.bottleneck in REMEDIES
    assert found.bottleneck in estimate_table(size, found)


@given(sizes, st.sampled_from(["trials", "steps", "photos", "images_per_step", "photos_per_step"]))
def test_more_work_never_takes_less_time(size, field):
    more = changed(size, **{field: 2 * getattr(size, field)})
    assert estimate(more).hours >= 0.999 * estimate(size).hours


@given(
    sizes,
    st.sampled_from(
        [
            "cores_per_gpu",
            "decoded_per_second",
            "sets_per_second",
            "trained_per_second",
            "bytes_per_second",
            "reads_per_second",
            "head_cores",
        ]
    ),
)
def test_faster_parts_never_make_it_slower(size, field):
    value = min(2 * getattr(size, field), 1024.0 if field == "cores_per_gpu" else 1e15)
    faster = changed(size, **{field: type(getattr(size, field))(value)})
    assert estimate(faster).hours <= 1.001 * estimate(size).hours


def test_nonsense_is_refused():
    for values in ({"gpus": 0}, {"share_trained": 1.5}, {"decoded_per_second": 0.0}, {"gpu": 1}):
        with pytest.raises(ValidationError):
            SweepSize(**values)


def test_small_sweeps_have_units_of_their_own():
    small = SweepSize(photos=1000, trials=8, gpus=2, steps=100)
    found = estimate(small)
    assert found.answer == "9.0 minutes, 0.52 dollars, held up by validation"
    table = estimate_table(small, found)
    assert " 17.7 GB  94,657 reads" in table
    assert re.search(r"checking every photograph +1\.3 seconds", table)


def test_the_job_prints_the_bottleneck_and_ends_with_the_answer():
    job = Path(__file__).parents[2] / "jobs" / "estimate.py"
    done = subprocess.run(
        [sys.executable, str(job), "--photos", "1000000", "--trials", "100", "--gpus", "16"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "4.7 hours, 151 dollars, held up by bucket"
    assert " 13.7 TB  73,350,728 reads" in done.stdout
    refused = subprocess.run(
        [sys.executable, str(job), "--gpus", "0"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: gpus")
