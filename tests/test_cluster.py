import os
import socket
import time

import pytest
import ray
from ray.exceptions import AuthenticationError

from rankloop.cluster import connected, gpus_on_demand, job_command, on_cluster
from rankloop.errors import ClusterError, ConfigError


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("The current node timed out during startup. Perhaps", ClusterError),
        ("something else", RuntimeError),
    ],
)
def test_a_ray_that_does_not_start_in_time_is_named(monkeypatch, said, expected):
    def init(**options: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(expected), connected():
        pass


@pytest.mark.parametrize(
    ("mode", "named", "variables"),
    [
        (0o644, True, {}),
        (0o640, True, {}),
        (0o600, False, {}),
        (0o644, False, {"RAY_AUTH_TOKEN": "x" * 64}),
    ],
)
def test_a_clusters_token_that_others_can_read_is_warned_of(
    monkeypatch, caplog, tmp_path, mode, named, variables
):
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("x" * 64)
    token.chmod(mode)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with connected():
        pass
    assert (f"chmod 600 {token}" in caplog.text) == named


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "https://me:secret@ray.example"])
def test_the_address_that_jobs_are_submitted_to_is_no_cluster_to_join(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    for call in (on_cluster, connected().__enter__):
        with pytest.raises(ConfigError, match=r"RAY_ADDRESS is http.*unset RAY_ADDRESS") as refused:
            call()
        assert "ray job submit" in str(refused.value)
        assert "secret" not in str(refused.value)


def test_workers_of_a_cluster_unpickle_no_tensors(monkeypatch):
    given = {}
    variable = "RAY_DATA_AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA"
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: given.update(options))
    with connected():
        assert os.environ[variable] == "0"
    assert given["runtime_env"]["env_vars"][variable] == "0"


def test_a_cluster_that_is_not_there_is_named_at_once(monkeypatch, free_port):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    begun = time.monotonic()
    with (
        pytest.raises(ClusterError, match=r"at 127.0.0.1:\d+ \(RAY_ADDRESS\): .*refused"),
        connected(),
    ):
        pass
    assert time.monotonic() - begun < 10


def test_a_cluster_is_joined_at_an_address_of_ipv6(monkeypatch):
    given = {}
    try:
        head = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with head:
        address = f"[::1]:{head.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "init", lambda **options: given.update(options))
        with connected():
            assert given["address"] == address


@pytest.mark.parametrize(
    "refusal",
    [AuthenticationError("no token was found"), ConnectionError("Failed to connect\nmore")],
)
def test_a_cluster_that_refuses_us_says_which_token_it_wants(monkeypatch, refusal):
    def refuse(**options):
        raise refusal

    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ClusterError, match=r"RAY_AUTH_MODE=token and ~/.ray/auth_token") as refused:
        connected().__enter__()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("given", "expected"), [("", 0), ("0", 0), ("4", 4)])
def test_gpus_that_may_come_are_the_environments(monkeypatch, given, expected):
    monkeypatch.setenv("RANKLOOP_GPUS", given)
    assert gpus_on_demand() == expected
    monkeypatch.delenv("RANKLOOP_GPUS")
    assert gpus_on_demand() == 0


def test_gpus_that_are_no_number_are_refused(monkeypatch):
    monkeypatch.setenv("RANKLOOP_GPUS", "-1")
    with pytest.raises(ConfigError, match="RANKLOOP_GPUS is '-1'"):
        gpus_on_demand()


@pytest.mark.parametrize(
    ("address", "begins"), [("", "python"), ("auto", "ray job submit --working-dir . -- python")]
)
def test_commands_are_for_a_shell_and_for_where_this_one_runs(monkeypatch, address, begins):
    monkeypatch.setenv("RAY_ADDRESS", address)
    uri = "s3://b/x?endpoint_override=h:1&scheme=http"
    assert job_command("jobs/score.py", uri, "PHOTOS") == f"{begins} jobs/score.py '{uri}' PHOTOS"
