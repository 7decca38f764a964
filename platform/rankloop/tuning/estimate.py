"""What a sweep will take: bytes, cores, hours and dollars from a few rates, before it is run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict

from rankloop.filesystems import CONNECTIONS
from rankloop.reading import REMOTE_READS

# Of rankloop.packed: photographs come in groups of so many bytes, and a process keeps so many.
GROUP_BYTES, GROUPS_KEPT = 256 * 2**10, 64
# Footers of so many shards of so many bytes stay parsed; parsing another one takes a core's time
# (measured).
SHARD_BYTES, SHARDS_PARSED, PARSING_SECONDS = 128 * 2**20, 64, 0.0007
# In a bucket a file of its own is asked for its size first.
PLAIN_READS = 2.0
# Of a machine's own solid-state disk (assumed).
DISK_READ_SECONDS, DISK_BYTES_PER_SECOND = 1e-4, 1e9
# One core drives the GPU and the training loop; the others make examples.
LOOP_CORES = 1.0

Positive = Annotated[float, Gt(0.0), Le(1e15)]
NotNegative = Annotated[float, Ge(0.0), Le(1e15)]
Count = Annotated[int, Ge(1), Le(10**12)]


class SweepSize(BaseModel):
    """A sweep, the machines it runs on and how fast they are.

    "Measured" marks rates of tests/benchmarks/bench_rates.py, "assumed" what that cannot measure;
    docs/scaling.md has the sources.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    photos: Count = 1_000_000
    """Photographs in all."""
    bytes_per_photo: Positive = 150_000
    """Bytes of a photograph's file."""
    packed: bool = True
    """Whether jobs/ingest.py packed them: then a read brings a group of up to 256 KiB."""
    trials: Count = 100
    """Trials of the sweep."""
    at_once: Annotated[int, Ge(0), Le(10**6)] = 0
    """Trials at once (--workers); 0 for one per GPU."""
    steps: Count = 10_000
    """Steps of a whole trial (--steps)."""
    share_trained: Annotated[float, Gt(0.0), Le(1.0)] = 0.3
    """Mean share of its steps that a trial trains before it is stopped. 0.26 where a third goes on
    at a ninth and at a third of the steps; 1 where none is stopped."""
    evaluations: Annotated[int, Ge(0), Le(10**6)] = 9
    """Looks at the validation split in a whole trial (--evaluations)."""
    validation_photos: Annotated[int, Ge(0), Le(10**12)] = 1_500
    """Photographs of the validation split: 15 % of those with labels, or of all where the synthetic
    annotator labels them (folder: alone)."""

    photos_per_step: Count = 240
    """Photographs that the rows of a step read; two of each pair and quadruplet of ssranking."""
    sets_per_step: Annotated[int, Ge(0), Le(10**9)] = 60
    """Ranked sets that a step makes."""
    images_per_step: Count = 360
    """Images that go through the network in a step."""

    gpus: Count = 16
    """GPUs of the cluster, or cores with --on-cpu."""
    on_cpu: bool = False
    """Train on a core each in place of a GPU; rows are made on the same core."""
    gpus_per_node: Count = 1
    """GPUs of a machine."""
    cores_per_gpu: Annotated[float, Ge(0.5), Le(1024.0)] = 16.0
    """Cores that a machine has for each GPU."""
    data_workers: Annotated[int, Ge(0), Le(1024)] = 8
    """Ray Data tasks per stream (--data-workers), each a quarter of a core; 0 for the one thread of
    the trial itself."""
    streams: Count = 2
    """Streams of rows that a training has."""

    decoded_per_second: Positive = 230.0
    """Photographs that a core decodes and resizes per second. Measured."""
    sets_per_second: Positive = 350.0
    """Ranked sets that a core makes per second of decoded photographs. Measured."""
    trained_per_second: Positive = 840.0
    """Images per second that a GPU trains on. Assumed: ResNet-18 at 224 pixels in FP32."""
    scored_per_second: Positive = 2500.0
    """Images per second that a GPU scores. Assumed: three times as many."""
    on_disk: bool = False
    """Whether every machine has a copy on a disk of its own, in place of the bucket."""
    read_seconds: NotNegative = 0.1
    """Seconds until the first byte of a read from the bucket. Assumed."""
    bytes_per_second: Positive = 90e6
    """Bytes per second of one read. Assumed."""
    node_bytes_per_second: Positive = 1.25e9
    """Bytes per second that a machine takes in: 10 Gbit/s. Assumed."""
    reads_per_second: Positive = 5500.0
    """Reads per second that the bucket answers, of one prefix. Assumed."""
    trial_seconds: NotNegative = 30.0
    """Seconds of a trial besides steps and validation: its start, checkpoints, plots. Assumed."""
    head_cores: Count = 8
    """Cores of the machine that checks every photograph once, before the first trial."""

    dollars_per_node_hour: NotNegative = 1.624
    """List price of a GPU machine. Assumed."""
    dollars_per_million_reads: NotNegative = 0.4
    """List price of reads from the bucket. Assumed."""


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take.

    Attributes:
        parts: seconds that each part would need for a step of one trial, if it were alone; the
            slowest sets the pace, since all work at once.
        cores_wanted: cores per GPU that make rows as fast as the GPU takes them.
        step_seconds: seconds of a step.
        validation_seconds: seconds of one look at the validation split.
        trial_hours: hours of a trial, on average.
        check_hours: hours until every photograph was checked once.
        hours: hours of the whole sweep.
        reads: reads from the bucket.
        bytes_read: bytes read from the bucket.
        dollars: price of machines and reads.
        bottleneck: the slowest part, "validation" and "check" among them.
        remedy: which setting moves it.
    """

    parts: Mapping[str, float]
    cores_wanted: float
    step_seconds: float
    validation_seconds: float
    trial_hours: float
    check_hours: float
    hours: float
    reads: float
    bytes_read: float
    dollars: float
    bottleneck: str
    remedy: str

    @property
    def answer(self) -> str:
        """The estimate in one line."""
        return f"{_time(self.hours)}, {_price(self.dollars)}, held up by {self.bottleneck}"


REMEDIES = {
    "training": "faster GPUs or more of them, a smaller --input-size or --backbone",
    "cores": "machines with more cores per GPU, a smaller --image-size or smaller files",
    "tasks": "more --data-workers, or a copy of the photographs on every machine's own disk",
    "link": "a pack of smaller files, fewer GPUs per machine, machines with faster links",
    "bucket": "a copy of the photographs on every machine's own disk, or under several prefixes",
    "validation": "fewer --evaluations, or labelled data: only what is labelled is validated on",
    "check": "a head with more cores, or smaller files",
}


def estimate(size: SweepSize) -> Estimate:
    """Return what a sweep will take; a pure function of its size and rates.

    All parts of a step work at the same time, so that the slowest sets the pace; only on CPUs the
    network and the rows share a core. Trials of one length run in rounds.
    """
    at_once = min(size.at_once or size.gpus, size.gpus, size.trials)
    parts = _parts(size, at_once)
    step = max(parts.values())
    looks = size.share_trained * size.evaluations + 1
    # The trial's own process reads, decodes and scores them, one of these after the other.
    validation = size.validation_photos * (
        _photo_seconds(size) + _decode_seconds(size) + 1.0 / size.scored_per_second
    )
    steps = size.share_trained * size.steps
    trial = size.trial_seconds + steps * step + looks * validation
    rounds = math.ceil(size.trials / at_once)
    first_reads, check = _first_look(size)
    seconds = check + rounds * trial
    drawn = size.trials * (steps * size.photos_per_step + looks * size.validation_photos)
    reads, read = (drawn * each for each in _per_photo(size))
    reads, read = reads + first_reads, read + size.photos * size.bytes_per_photo
    charged = 0.0 if size.on_disk else reads
    hours = seconds / 3600
    nodes = math.ceil(size.gpus / size.gpus_per_node)
    spent = {
        max(parts, key=lambda name: parts[name]): rounds * steps * step,
        "validation": rounds * looks * validation,
        "check": check,
    }
    bottleneck = max(spent, key=lambda name: spent[name])
    return Estimate(
        parts=parts,
        cores_wanted=_core_seconds(size) / parts["training"] + LOOP_CORES * (not size.on_cpu),
        step_seconds=step,
        validation_seconds=validation,
        trial_hours=trial / 3600,
        check_hours=check / 3600,
        hours=hours,
        reads=reads,
        bytes_read=read,
        dollars=hours * nodes * size.dollars_per_node_hour
        + charged / 1e6 * size.dollars_per_million_reads,
        bottleneck=bottleneck,
        remedy=REMEDIES[bottleneck],
    )


def _first_look(size: SweepSize) -> tuple[float, float]:
    """Reads and seconds of checking every photograph, in their order: a group's come together."""
    total = size.photos * size.bytes_per_photo
    reads = total / _read_bytes(size) * _reads_per_file(size)
    at_once = size.head_cores
    if not size.on_disk:
        at_once = max(at_once, min(size.head_cores * REMOTE_READS, CONNECTIONS))
    decoding = size.photos / size.decoded_per_second / size.head_cores
    return reads, max(_wait(size, reads, total) / at_once, decoding)


def _parts(size: SweepSize, at_once: int) -> dict[str, float]:
    """Seconds that a step would take if only one part had to do its work."""
    training = size.images_per_step / size.trained_per_second
    work = _core_seconds(size)
    tasks = size.streams * size.data_workers or 1
    reads, read = (size.photos_per_step * each for each in _per_photo(size))
    if size.on_cpu:
        cores = (training + work) / size.cores_per_gpu
    else:
        cores = work / max(size.cores_per_gpu - LOOP_CORES, LOOP_CORES / 2)
    on_node = min(size.gpus_per_node, at_once)
    return {
        "training": training,
        "cores": cores,
        "tasks": (work + size.photos_per_step * _photo_seconds(size)) / tasks,
        "link": 0.0 if size.on_disk else on_node * read / size.node_bytes_per_second,
        "bucket": 0.0 if size.on_disk else at_once * reads / size.reads_per_second,
    }


def _core_seconds(size: SweepSize) -> float:
    """Seconds of one core that make the rows of a step."""
    sets = size.sets_per_step / size.sets_per_second
    return size.photos_per_step * _decode_seconds(size) + sets


def _per_photo(size: SweepSize) -> tuple[float, float]:
    """Reads and bytes that one photograph takes, drawn at random from all."""
    if not size.packed:
        return _reads_per_file(size), size.bytes_per_photo
    group = _read_bytes(size)
    missed = max(0.0, 1.0 - GROUPS_KEPT * group / (size.photos * size.bytes_per_photo))
    return missed, missed * group


def _read_bytes(size: SweepSize) -> float:
    """Bytes of a photograph's file, or of its group in a pack."""
    if not size.packed:
        return size.bytes_per_photo
    # A group is closed before the photograph that would make it too large.
    return max(size.bytes_per_photo, GROUP_BYTES - size.bytes_per_photo / 2)


def _decode_seconds(size: SweepSize) -> float:
    """Seconds of a core that one photograph takes."""
    total = size.photos * size.bytes_per_photo
    unparsed = max(0.0, 1.0 - SHARDS_PARSED * SHARD_BYTES / total) if size.packed else 0.0
    return unparsed * PARSING_SECONDS + 1.0 / size.decoded_per_second


def _reads_per_file(size: SweepSize) -> float:
    return 1.0 if size.packed or size.on_disk else PLAIN_READS


def _photo_seconds(size: SweepSize) -> float:
    """Seconds that a process waits for a photograph, of which it reads several out of a bucket."""
    return _wait(size, *_per_photo(size)) / (1 if size.on_disk else REMOTE_READS)


def _wait(size: SweepSize, reads: float, read: float) -> float:
    """Seconds that so many reads of so many bytes take one after the other."""
    if size.on_disk:
        return reads * DISK_READ_SECONDS + read / DISK_BYTES_PER_SECOND
    return reads * size.read_seconds + read / size.bytes_per_second


def _time(hours: float) -> str:
    for unit, of_an_hour in (("hours", 1), ("minutes", 60)):
        if hours * of_an_hour >= 1.0:
            return f"{hours * of_an_hour:,.1f} {unit}"
    return f"{3600 * hours:.1f} seconds"


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:,.1f} MB"


def _price(dollars: float) -> str:
    return f"{dollars:,.{0 if dollars >= 100 else 2}f} dollars"


def estimate_table(size: SweepSize, found: Estimate) -> str:
    """Return the estimate as text for a terminal."""
    slowest = max(found.parts, key=lambda name: found.parts[name])
    rows: list[tuple[str, Any, str]] = [
        *(
            (f"step, {name}", f"{1000 * seconds:,.0f} ms", "<- slowest" if name == slowest else "")
            for name, seconds in found.parts.items()
        ),
        ("cores per GPU to keep it fed", f"{found.cores_wanted:.1f}", f"of {size.cores_per_gpu:g}"),
        ("one look at validation", f"{found.validation_seconds:,.0f} s", ""),
        ("a trial, on average", _time(found.trial_hours), ""),
        ("checking every photograph", _time(found.check_hours), ""),
        ("bytes read", _size(found.bytes_read), f"{found.reads:,.0f} reads"),
        ("the sweep", _time(found.hours), _price(found.dollars)),
    ]
    lines = [f"{name:32} {value:>14}  {more}".rstrip() for name, value, more in rows]
    return "\n".join([*lines, f"bottleneck: {found.bottleneck}; what moves it: {found.remedy}"])
