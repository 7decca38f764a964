"""Joining a Ray cluster, or starting an embedded one."""

import logging
import os
import secrets
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import rankloop
from rankloop import memory, plain_columns
from rankloop.errors import ClusterError, ConfigError
from rankloop.signals import stop_at_sigterm

SOURCE_ROOT = Path(rankloop.__file__).resolve().parents[1]
# Set on the head of a cluster whose GPU nodes are started on demand.
GPUS_VARIABLE = "RANKLOOP_GPUS"
_log = logging.getLogger("rankloop")


@contextmanager
def connected(cpus: int | None = None) -> Iterator[None]:
    """Run the block on Ray: the cluster at RAY_ADDRESS (set in submitted jobs), else our own.

    The package travels to the cluster's workers, so it need not be installed there. An embedded
    Ray listens on loopback alone, and answers only to a token that this process makes up and never
    writes down. A cluster's token that others can read is warned of.

    Args:
        cpus: cores that an embedded Ray may use; all of this machine by default.

    Raises:
        ClusterError: Ray does not start in time, or the cluster does not answer or refuses us.
        ConfigError: RAY_ADDRESS is where jobs are submitted.
    """
    # Ray reads its variables when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    plain_columns.refuse_pickles()
    address = _cluster_address()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address:
        _warn_of_open_token()
        options |= {
            "runtime_env": {
                "py_modules": [str(SOURCE_ROOT / "rankloop")],
                # Actors ask as this process does whether they are on a cluster.
                "env_vars": {
                    **memory.ENVIRONMENT,
                    **plain_columns.ENVIRONMENT,
                    "RAY_ADDRESS": address,
                },
            }
        }
    else:
        # An embedded Ray turns token authentication on by itself; with a token given, it need not
        # write one to the home directory, where it would be readable by all. Of several that one
        # process starts, all have the first's: Ray reads it once.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Without it, Ray asks for the token, and has this process notice; nothing else would.
        os.environ.pop("RAY_AUTH_MODE", None)
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
        with _joining(address) if address else _on_loopback():
            ray.init(address=address or "local", **options)
    except ClusterError:
        raise
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


@contextmanager
def _joining(address: str) -> Iterator[None]:
    """Say in a line why a cluster cannot be joined: Ray says it over a minute, and in many."""
    from ray.exceptions import AuthenticationError

    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal() and "://" not in address:
            # [fd00::1]:6379: the brackets are the address's, not the host's.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        yield
    # Ray's own errors of a missing and of a refused token are of several classes.
    except (OSError, RuntimeError, AuthenticationError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ClusterError(
            f"cannot join the Ray cluster at {address} (RAY_ADDRESS): {why}; "
            "check that its head runs there, and that this shell has the cluster's token: "
            "RAY_AUTH_MODE=token and ~/.ray/auth_token. Without RAY_ADDRESS the job runs here"
        ) from error


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Have Ray take 127.0.0.1 for this machine's address, and so listen there alone."""
    from ray._private import parameter, ray_constants

    # Meant for systems with firewalls that ask about each program; it works on all.
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    params = parameter.RayParams
    # Any port: the usual one of its agent is that by which a head on this machine takes jobs.
    parameter.RayParams = partial(params, dashboard_agent_listen_port=0)
    # Ray's other processes read the variable; this one may have read it before.
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        parameter.RayParams = params
        ray_constants.ENABLE_RAY_CLUSTER = before[1]
        if before[0] is None:
            del os.environ[name]
        else:
            os.environ[name] = before[0]


def _warn_of_open_token() -> None:
    """Say so when a cluster's token lies where other users of this machine can read it."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if file.is_file() and file.stat().st_mode & 0o077:
        # Not refused: Kubernetes mounts secrets so, in containers that have one user.
        _log.warning(
            "the cluster's token in %s can be read by other users, who could run code as you: "
            "chmod 600 %s, and make a new one if this machine has other users",
            file,
            file,
        )


def refuse_temporary(option: str, location: str) -> None:
    """Refuse a relative path in a submitted job, whose working directory is deleted after it.

    Raises:
        ConfigError: names the option, its value and the remedy; or as `on_cluster`.
    """
    if "://" not in location and not Path(location).is_absolute() and on_cluster():
        raise ConfigError(
            f"{option} {location} is relative, and other hosts of a cluster (RAY_ADDRESS) do not "
            "find it, nor does anybody after a submitted job: give an absolute path or a URI that "
            "all nodes reach"
        )


def beside_driver() -> Any:
    """Where actors belong that others need as long as the driver lives: on its own host.

    Workers' hosts may vanish.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def on_cluster() -> bool:
    """Whether Ray is a cluster's, whose hosts may come and go, and not this process's own.

    Raises:
        ConfigError: RAY_ADDRESS is where jobs are submitted.
    """
    return bool(_cluster_address())


def job_command(*words: str) -> str:
    """Return what a user types to run another job where this one runs, for a shell."""
    submit = ("ray", "job", "submit", "--working-dir", ".", "--") if on_cluster() else ()
    return shlex.join([*submit, "python", *words])


def _cluster_address() -> str:
    """RAY_ADDRESS; empty where there is none."""
    address = os.environ.get("RAY_ADDRESS", "")
    # Shells have it for `ray job submit`; Ray itself cannot be joined there.
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"RAY_ADDRESS is {address}, where jobs are submitted: `unset RAY_ADDRESS` to run here, "
            "or `ray job submit --working-dir . -- python jobs/...` to run on that cluster"
        )
    return address


def gpus_on_demand() -> int:
    """Most GPUs that the cluster starts when asked, from RANKLOOP_GPUS on its head; 0 without.

    Ray does not say what a cluster that scales from 0 may grow to.

    Raises:
        ConfigError: the variable is no number.
    """
    # Empty is how some tools leave a variable out.
    given = os.environ.get(GPUS_VARIABLE) or "0"
    if not given.isdecimal():
        raise ConfigError(f"{GPUS_VARIABLE} is {given!r}: give the most GPUs that the cluster has")
    return int(given)


def most_gpus() -> int:
    """GPUs that the cluster has, or starts when asked.

    Raises:
        ConfigError: as `gpus_on_demand`.
    """
    import ray

    return max(int(ray.cluster_resources().get("GPU", 0)), gpus_on_demand())


def gpus_per_run() -> float:
    """One GPU for a run where the cluster has any, or starts them when asked, else none."""
    return 1.0 if most_gpus() else 0.0


def data_workers_per_gpu() -> int:
    """Half of the cores that the cluster has for each GPU, from 1 to 8; 0 without GPUs.

    A training has two streams of examples as a rule, which share these cores. Of GPUs that are yet
    to be started they are not known: 2, of machines with no less than 4 cores for each.
    """
    import ray

    resources = ray.cluster_resources()
    if resources.get("GPU", 0) < 1:
        return 2 if gpus_on_demand() else 0
    return int(min(8, max(1, resources["CPU"] / resources["GPU"] / 2)))
