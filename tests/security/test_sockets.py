"""What a local run listens on, and who gets in."""

import ipaddress
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, socket

import psutil
import pytest
from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import os, sys
import ray  # before the variables are set, as jobs do
from rankloop.cluster import connected

with connected(2):
    ray.get(ray.remote(lambda: 1).remote())
    print("READY", ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN"], flush=True)
    sys.stdin.read()
"""
CLIENT = """
import ray, sys
ray.init(address=sys.argv[1], log_to_driver=False)
print("FOUND", ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT / "platform"), **more}


def listening(pid):
    """(process, address) of all sockets that a process and those it started listen on."""
    found = set()
    process = psutil.Process(pid)
    for each in [process, *process.children(recursive=True)]:
        try:
            for each_socket in each.net_connections("inet"):
                # A datagram socket without a peer takes what comes from anywhere.
                takes_datagrams = each_socket.type == SOCK_DGRAM and not each_socket.raddr
                if each_socket.status == psutil.CONN_LISTEN or takes_datagrams:
                    # Ray's workers are called after the method that they run, too.
                    found.add((each.name().partition(".")[0], each_socket.laddr.ip))
        except psutil.NoSuchProcess:
            # Workers come and go.
            continue
    return found


def is_loopback(text):
    address = ipaddress.ip_address(text)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM])
def test_whoever_listens_is_seen(kind):
    before = listening(os.getpid())
    with socket(AF_INET, kind) as opened:
        opened.bind(("127.0.0.9", 0))
        if kind == SOCK_STREAM:
            opened.listen()
        assert [address for _, address in listening(os.getpid()) - before] == ["127.0.0.9"]
        if kind == SOCK_DGRAM:
            opened.connect(("127.0.0.9", 9))
            # Takes datagrams of its peer alone.
            assert listening(os.getpid()) == before


@pytest.fixture(scope="module")
def running():
    """A process with an embedded Ray; yields its pid, Ray's address and the token."""
    # Even where a user has turned the token off for other clusters.
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env=environment(RAY_AUTH_MODE="disabled"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said = next((line for line in process.stdout if line.startswith("READY")), "")
        assert said
        yield process.pid, *said.split()[1:]
        process.stdin.close()


def test_an_embedded_ray_leaves_a_head_the_port_by_which_it_takes_jobs(running):
    ours = psutil.Process(running[0])
    ports = {
        opened.laddr.port
        for process in [ours, *ours.children(recursive=True)]
        for opened in process.net_connections()
    }
    assert ports
    assert DEFAULT_DASHBOARD_AGENT_LISTEN_PORT not in ports


def test_an_embedded_ray_listens_on_loopback_alone(running):
    found = listening(running[0])
    assert {"gcs_server", "raylet"} <= {name for name, _ in found}
    assert not [entry for entry in found if not is_loopback(entry[1])]


@pytest.mark.parametrize("known", ["nothing", "another token", "the token"])
def test_who_gets_in(running, tmp_path, known):
    _, address, token = running
    given = {
        # Whoever does not ask for a token himself is asked all the same.
        "nothing": {"RAY_AUTH_MODE": "disabled"},
        "another token": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
        "the token": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
    }[known]
    # A client takes 127.0.0.1 for its machine's address in the network otherwise.
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, address],
        env=environment(**given, **loopback),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as client:
        # Ray asks again and again; the first answer is as good as the last.
        answers = (line for line in client.stdout if "FOUND" in line or "Unauthenticated" in line)
        answer = next(answers, "")
        client.kill()
    assert ("FOUND 42" in answer) == (known == "the token")
    assert ("InvalidAuthToken" in answer) == (known != "the token")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "open_to_all"),
    # PyTorch's store, by which workers find each other, has no setting for its address.
    [("train.py", {"ray::RayTrainWorker"}), ("tune_qrc.py", set())],
)
def test_jobs_listen_on_loopback_but_for_what_is_documented(tmp_path, job, open_to_all):
    storage = ("--storage", str(tmp_path / "results"))
    with subprocess.Popen(
        [sys.executable, str(ROOT / "jobs" / job), "--smoke", "--workers", "1", *storage],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        found = set()
        while process.poll() is None:
            found |= listening(process.pid)
            time.sleep(0.5)
        assert process.returncode == 0, process.stdout.read()
    names = {name for name, _ in found}
    assert {"gcs_server", "raylet"} <= names
    assert any(name.startswith("ray::") for name in names)
    assert {name for name, address in found if not is_loopback(address)} == open_to_all


def test_the_readmes_token_is_private(tmp_path):
    (line,) = re.findall(r"^.*ray get-auth-token .*$", (ROOT / "README.md").read_text(), re.M)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        line,
        shell=True,
        check=True,
        capture_output=True,
        text=True,
        env=environment(HOME=str(tmp_path), PATH=path, RAY_AUTH_MODE="token"),
    )
    token = tmp_path / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    # Nor could others look while it was written.
    assert token.parent.stat().st_mode & 0o777 == 0o700
    assert token.read_text().strip() not in done.stdout + done.stderr


def test_an_embedded_ray_leaves_no_token_behind(tmp_path):
    code = "from rankloop.cluster import connected\nwith connected(1): print('IN')"
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(HOME=home),
            capture_output=True,
            text=True,
            check=True,
        )
        assert "IN" in done.stdout
        assert not (Path(home) / ".ray" / "auth_token").exists()
