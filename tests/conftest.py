"""What all tests share: a quiet environment and one embedded Ray."""

import os

# Ray, MLflow and OpenMP read these when they are imported, by whichever test file comes first.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# Bits depend on the number of threads that add up a sum.
os.environ["OMP_NUM_THREADS"] = "1"

import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator

import pytest

# Tests that start processes take minutes where others take milliseconds.
_FIRST = ("integration", "tuning", "training", "jobs", "scoring", "streams", "tracking")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long files come first, so that two processes end at about the same time."""
    order = {folder: place for place, folder in enumerate(_FIRST)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(order)))


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """An embedded Ray of four cores whose workers find the package; it ends with the tests."""
    from rankloop.cluster import SOURCE_ROOT

    before = {name: os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "PYTHONPATH")}
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(SOURCE_ROOT), os.environ.get("PYTHONPATH")])
    )
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port of this machine that nothing uses."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def s3_server(free_port: Callable[[], int]) -> Iterator[str]:
    """The address of a server that speaks S3."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    address = f"127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/moto-api/", timeout=5)
            break
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, "the S3 server did not come up"
            time.sleep(0.2)
    yield address
    server.kill()
    server.wait()


@pytest.fixture
def s3_folder(s3_server: str) -> str:
    """The URI of a folder in a new bucket."""
    bucket = f"rankloop-{uuid.uuid4().hex}"
    urllib.request.urlopen(
        urllib.request.Request(f"http://{s3_server}/{bucket}", method="PUT"), timeout=10
    )
    return (
        f"s3://key:secret@{bucket}/results"
        f"?endpoint_override={s3_server}&scheme=http&region=us-east-1"
    )
