"""What jobs/estimate.py asks of a machine: rates of a core, while all cores are as busy.

    python tests/benchmarks/bench_rates.py [--photos folder:PHOTOS] [--repeats 3]

Photographs are decoded out of a pack on the local disk, and, for the time of a read, out of the
same pack in a bucket that a server on this machine stands for. Prints a table, JSON, and the
options for jobs/estimate.py. GPUs, real buckets and prices it cannot measure: see docs/scaling.md.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "platform")]

from rates import as_options, core_rates, opened, packed_photos, said

from rankloop import packed
from rankloop.datasets.pack import read_pack
from rankloop.methods.ssranking import SSRankingConfig
from rankloop.storage import open_folder

PHOTOS = 600
MEASURED = ("bytes_per_photo", "decoded_per_second", "sets_per_second")


def bucket_rates(pack: Path) -> dict[str, float]:
    """Seconds of a read of a group of photographs, and bytes per second, from a bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    port = address.partition(":")[2]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return _bucket_rates(pack, address)
    finally:
        server.kill()
        server.wait()


def _bucket_rates(pack: Path, address: str) -> dict[str, float]:
    deadline = time.monotonic() + 60
    while True:
        try:
            request = urllib.request.Request(f"http://{address}/photos", method="PUT")
            urllib.request.urlopen(request, timeout=10).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    uri = f"s3://k:s@photos/pack?endpoint_override={address}&scheme=http&region=us-east-1"
    for file in pack.iterdir():
        open_folder(uri).write_bytes(file.name, file.read_bytes())
    rows = read_pack(uri).images
    seconds = []
    # Of each group one, and twice, so that shards are open.
    apart = 1 + packed._GROUP_BYTES // min(len(packed.read_packed(row.uri)) for row in rows)
    for row in [*rows[::apart], *rows[::apart]]:
        packed._group.cache_clear()
        start = time.perf_counter()
        packed.read_packed(row.uri)
        seconds.append(time.perf_counter() - start)
    read = statistics.median(seconds)
    return {"bucket_seconds_per_read": read, "bucket_bytes_per_second": packed._GROUP_BYTES / read}


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
