"""Joining a Ray cluster, or starting an embedded one."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rankloop
from rankloop import memory
from rankloop.errors import ClusterError, ConfigError
from rankloop.signals import stop_at_sigterm

SOURCE_ROOT = Path(rankloop.__file__).resolve().parents[1]


@contextmanager
def connected(cpus: int | None = None) -> Iterator[None]:
    """Run the block on Ray: the cluster at RAY_ADDRESS (set in submitted jobs), else our own.

    The package travels to the cluster's workers, so it need not be installed there. An embedded
    Ray is reachable only with a token that this process makes up and never writes down.

    Args:
        cpus: cores that an embedded Ray may use; all of this machine by default.
    """
    # Ray reads its variables when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address:
        options |= {
            "runtime_env": {
                "py_modules": [str(SOURCE_ROOT / "rankloop")],
                "env_vars": memory.ENVIRONMENT,
            }
        }
    else:
        # An embedded Ray turns token authentication on by itself; with a token given, it need not
        # write one to the home directory, where it would be readable by all. Of several that one
        # process starts, all have the first's: Ray reads it once.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(SOURCE_ROOT), os.environ.get("PYTHONPATH")])
        )
        for name, value in memory.ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        options |= {"num_cpus": cpus, "include_dashboard": False}
    import ray

    if ray.is_initialized():
        yield
        return
    print("joining the Ray cluster" if address else "starting Ray on this machine", flush=True)
    try:
        ray.init(address=address or "local", **options)
    except Exception as error:
        # Ray has no class of its own for it.
        if "timed out during startup" not in str(error):
            raise
        ray.shutdown()
        raise ClusterError(
            "Ray did not start in time: this machine may have too much to do; run the same command "
            "again when there is less"
        ) from error
    stop_at_sigterm()
    try:
        yield
    finally:
        ray.shutdown()


def refuse_temporary(option: str, location: str) -> None:
    """Refuse a relative path in a submitted job, whose working directory is deleted after it.

    Raises:
        ConfigError: names the option, its value and the remedy.
    """
    if os.environ.get("RAY_ADDRESS") and "://" not in location and not Path(location).is_absolute():
        raise ConfigError(
            f"{option} {location} is relative, and a submitted job runs in a temporary folder: "
            "give a path or URI that all nodes reach, such as /shared/results"
        )


def gpus_per_run() -> float:
    """One GPU for a run where the cluster has any, else none."""
    import ray

    return 1.0 if ray.cluster_resources().get("GPU", 0) >= 1 else 0.0


def data_workers_per_gpu() -> int:
    """Half of the cores that the cluster has for each GPU, from 1 to 8; 0 without GPUs.

    A training has two streams of examples as a rule, which share these cores.
    """
    import ray

    resources = ray.cluster_resources()
    if resources.get("GPU", 0) < 1:
        return 0
    return int(min(8, max(1, resources["CPU"] / resources["GPU"] / 2)))
