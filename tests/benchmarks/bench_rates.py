"""What jobs/estimate.py asks of a machine: rates of a core, while all cores are as busy.

    python tests/benchmarks/bench_rates.py [--photos folder:PHOTOS] [--repeats 3]

Photographs are decoded out of a pack on the local disk, and, for the time of a read, out of the
same pack in a bucket that a server on this machine stands for. Prints a table, JSON, and the
options for jobs/estimate.py. GPUs, real buckets and prices it cannot measure: see docs/scaling.md.
"""

import argparse
import itertools
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "platform")]

from rates import as_options, core_rates, opened, packed_photos, said

from rankloop import packed
from rankloop.datasets.pack import read_pack
from rankloop.methods.ssranking import SSRankingConfig
from rankloop.reading import REMOTE_READS, in_order
from rankloop.storage import open_folder

PHOTOS = 600
# Seconds until the make-believe bucket answers: ten times a real one's, since it answers no more
# than some 70 reads per second.
ANSWER, AT_ONCE = 1.0, (1, REMOTE_READS, 4 * REMOTE_READS)
MEASURED = ("bytes_per_photo", "decoded_per_second", "sets_per_second")


def bucket_rates(pack: Path) -> dict[str, float]:
    """Seconds of a read of a group, and how many are read at once where each takes ANSWER."""
    found = {}
    with _bucket(pack, 0.0) as uris:
        seconds = []
        for uri in uris:
            packed._group.cache_clear()
            start = time.perf_counter()
            packed.read_packed(uri)
            seconds.append(time.perf_counter() - start)
        found["bucket_seconds_per_read"] = statistics.median(seconds)
    with _bucket(pack, ANSWER) as uris:
        for at_once in AT_ONCE:
            some = list(itertools.islice(itertools.cycle(uris), 4 * at_once))
            start = time.perf_counter()
            for first in range(0, len(some), len(uris)):
                packed._group.cache_clear()
                list(in_order(packed.read_packed, some[first : first + len(uris)], at_once))
            rate = len(some) / (time.perf_counter() - start)
            found[f"bucket_reads_per_second_{at_once}_at_once_of_{ANSWER:g}_s"] = rate
            found[f"share_of_the_limit_{at_once}_at_once"] = rate * ANSWER / at_once
    return found


@contextmanager
def _bucket(pack: Path, answer: float) -> Iterator[list[str]]:
    """A pack in a bucket of a server on this machine: a photograph of each group, shards open."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    store = Path(__file__).resolve().parents[1] / "integration" / "s3_store.py"
    server = subprocess.Popen(
        [sys.executable, str(store), *address.split(":"), "/nowhere", str(answer)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _make_bucket(f"http://{address}/photos")
        uri = f"s3://k:s@photos/pack?endpoint_override={address}&scheme=http&region=us-east-1"
        for file in pack.iterdir():
            open_folder(uri).write_bytes(file.name, file.read_bytes())
        rows = read_pack(uri).images
        apart = 1 + packed._GROUP_BYTES // min(len(packed.read_packed(row.uri)) for row in rows)
        yield [row.uri for row in rows[::apart]]
    finally:
        server.kill()
        server.wait()


def _make_bucket(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=10).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", default="samples", help="samples or folder:PHOTOS")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    config = SSRankingConfig(labelled_pairs=4, unlabelled_sets=4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with said("packing"):
            rates = {"bytes_per_photo": packed_photos(folder, options.photos, PHOTOS)}
        with said("measuring"):
            rates |= core_rates(config, opened(folder, config), more=True, repeats=options.repeats)
        with said("reading from a bucket"):
            rates |= bucket_rates(folder / "pack")
    for rate, value in rates.items():
        print(f"{rate:44} {value:>14,.4g}")
    print(json.dumps({rate: float(f"{value:.4g}") for rate, value in rates.items()}))
    print("python jobs/estimate.py", as_options(rates, MEASURED))


if __name__ == "__main__":
    main()
