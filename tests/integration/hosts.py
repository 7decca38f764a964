"""Several hosts on one machine: Linux namespaces with a network of their own, joined by a switch.

A host has its own network, process numbers, name, shared memory and Ray folder; the disk is shared
but for these. Killing its first process ends all that runs on it, as pulling a plug does. Nothing
here is connected to a network of the machine itself.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
NETWORK = "10.88.0"
STORE = f"{NETWORK}.254"
# Ray's folder and shared memory are the host's own: processes on two hosts share no file there.
SET_UP = """set -e
hostname {name}
mkdir -p /tmp/ray
mount -t tmpfs -o size=1g tmpfs /tmp/ray
mount -t tmpfs -o size=2g tmpfs /dev/shm
ip link set lo up
touch {ready}
exec sleep infinity
"""


@dataclass
class Switch:
    """The network between the hosts; what runs in it is reached at STORE."""

    process: int
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 200)))

    def run(self, *command: str) -> None:
        """Run a command here, to its end."""
        _run("nsenter", "-t", str(self.process), "-n", *command)

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a server here."""
        with log.open("ab") as file:
            return subprocess.Popen(
                ["nsenter", "-t", str(self.process), "-n", *command],
                stdout=file,
                stderr=subprocess.STDOUT,
            )


@dataclass
class Host:
    """One host; `kill` pulls its plug and `boot` starts it again with the same address."""

    switch: Switch
    name: str
    number: int
    folder: Path
    token: str
    process: int = 0

    @property
    def address(self) -> str:
        """Its address in the network of the hosts."""
        return f"{NETWORK}.{self.number}"

    def boot(self) -> None:
        """Start the host with nothing on it."""
        home = self.folder / "home"
        (home / ".ray").mkdir(parents=True, exist_ok=True)
        token = home / ".ray" / "auth_token"
        token.write_text(self.token)
        token.chmod(0o600)
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        first = subprocess.Popen(
            [
                *("unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork"),
                *("--mount-proc", "--kill-child"),
                *("sh", "-c", SET_UP.format(name=self.name, ready=ready)),
            ]
        )
        _until(ready.exists, "the host did not boot")
        (child,) = psutil.Process(first.pid).children()
        self.process = child.pid
        port = f"port{self.number}"
        self.switch.run(
            *("ip", "link", "add", port, "type", "veth"),
            *("peer", "name", "eth0", "netns", str(self.process)),
        )
        self.switch.run("ip", "link", "set", port, "master", "switch", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def kill(self) -> None:
        """End everything on the host at once; nobody is told."""
        if self.process and psutil.pid_exists(self.process):
            self.switch.run("ip", "link", "delete", f"port{self.number}")
            os.kill(self.process, signal.SIGKILL)
            _until(lambda: not psutil.pid_exists(self.process), "the host did not die")

    def cut(self) -> None:
        """Unplug its cable."""
        self.switch.run("ip", "link", "set", f"port{self.number}", "down")

    def mend(self) -> None:
        """Plug its cable in again."""
        self.switch.run("ip", "link", "set", f"port{self.number}", "up")

    def fill_disk(self) -> None:
        """Leave no byte on the disk where Ray keeps its files."""
        self.run("sh", "-c", "cat /dev/zero > /tmp/ray/filled 2> /dev/null || true")

    def free_disk(self) -> None:
        """Undo `fill_disk`."""
        self.run("rm", "/tmp/ray/filled")

    def environment(self) -> dict[str, str]:
        """What a login on this host has."""
        return {
            "PATH": os.pathsep.join([str(BIN), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "OMP_NUM_THREADS": "1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    def command(self, *command: str) -> list[str]:
        """Return what runs a command on this host."""
        return ["nsenter", "-t", str(self.process), "-a", f"--wd={ROOT}", *command]

    def run(self, *command: str, timeout: float = 120, **more: str) -> str:
        """Run a command here to its end, which must be good, and return what it printed."""
        done = subprocess.run(
            self.command(*command),
            env={**self.environment(), **more},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *command: str, log: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a command here; what it prints goes to a file of the host's folder."""
        with (self.folder / log).open("ab") as file:
            return subprocess.Popen(
                self.command(*command),
                env={**self.environment(), **more},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def log(self, name: str) -> str:
        """Return what a started command has printed so far."""
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def network(folder: Path, names: list[str], token: str) -> Iterator[tuple[Switch, list[Host]]]:
    """Boot hosts joined by a switch; all end with the block."""
    refuse_without_namespaces()
    ready = folder / "switch"
    first = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", f"touch {ready}; exec sleep infinity"]
    )
    hosts: list[Host] = []
    try:
        _until(ready.exists, "the switch did not start")
        switch = Switch(first.pid)
        switch.run("ip", "link", "set", "lo", "up")
        switch.run("ip", "link", "add", "switch", "type", "bridge")
        switch.run("ip", "address", "add", f"{STORE}/24", "dev", "switch")
        switch.run("ip", "link", "set", "switch", "up")
        for number, name in enumerate(names, start=1):
            home = folder / name
            home.mkdir()
            hosts.append(Host(switch, name, number, home, token))
            hosts[-1].boot()
        yield switch, hosts
    finally:
        for host in hosts:
            host.kill()
        first.kill()
        first.wait()


def refuse_without_namespaces() -> None:
    """Skip the test where no hosts can be made, saying why."""
    done = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "switch", "type", "bridge"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no hosts can be made here: {done.stderr.strip()}")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _until(condition, complaint: str, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)
