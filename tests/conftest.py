"""What all tests share: a quiet environment and one embedded Ray."""

import os

# Ray, MLflow and OpenMP read these when they are imported, by whichever test file comes first.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# Bits depend on the number of threads that add up a sum.
os.environ["OMP_NUM_THREADS"] = "1"

import secrets
from collections.abc import Iterator

import pytest


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
