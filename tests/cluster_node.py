"""Machines of cluster.yaml, made on this one: a home directory, and namespaces of their own."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.command_runner import _with_interactive
from ray.autoscaler._private.util import prepare_config

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "cluster.yaml"
BUCKET = "s3://BUCKET"
GPUS = "RANKLOOP_GPUS=4"
# A stand-in for the real one, which would be that of whoever runs the tests.
CRONTAB = """
case $1 in
-l) cat ~/crontab 2> /dev/null || { echo no crontab >&2; exit 1; } ;;
-) cat > ~/crontab.new && mv ~/crontab.new ~/crontab ;;
*) exit 2 ;;
esac
"""


def cluster_config(bucket: str = BUCKET, gpus: str = GPUS) -> dict[str, Any]:
    """The file as Ray's launcher completes it, with another place for the bucket and other GPUs."""
    text = FILE.read_text().replace(BUCKET, bucket).replace(GPUS, gpus)
    config: dict[str, Any] = prepare_config(yaml.safe_load(text))
    return config


@dataclass(frozen=True)
class Node:
    """Where commands run as the launcher runs them over SSH: by a login shell in a new home.

    Attributes:
        home: the user's home directory.
        inside: words before a command that bring it into other namespaces.
        more: environment variables beside those of a login.
    """

    home: Path
    inside: Sequence[str] = ()
    more: tuple[tuple[str, str], ...] = ()

    def copy(self, config: dict[str, Any]) -> None:
        """Bring the mounted files here, as rsync does."""
        hidden = shutil.ignore_patterns(*config["rsync_exclude"])
        for remote, local in config["file_mounts"].items():
            target = self.path(remote)
            target.parent.mkdir(parents=True, exist_ok=True)
            if remote == "~/.ray/auth_token":
                # As Ray writes it, readable by all.
                target.write_text("0123456789abcdef" * 4)
                target.chmod(0o644)
            elif (ROOT / local).is_dir():
                shutil.copytree(ROOT / local, target, ignore=hidden, dirs_exist_ok=True)
            else:
                shutil.copy2(ROOT / local, target)

    def borrow_environment(self) -> None:
        """Give the node the packages of these tests, rather than install them for minutes."""
        venv = self.path("~/rankloop/.venv")
        venv.mkdir(parents=True)
        for part in ("bin", "lib", "pyvenv.cfg"):
            (venv / part).symlink_to(Path(sys.prefix) / part)
        (venv / "ready").touch()

    def fake(self, name: str, script: str) -> Path:
        """Put a program of ours before those of this machine; return its folder."""
        file = self.path(f"~/fake/{name}")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        self.path("~/.bash_profile").write_text('export PATH="$HOME/fake:$PATH"\n')
        return file.parent

    def by_cron(self, line: str, *, timeout: float = 120, **more: str) -> None:
        """Run a line of the crontab as cron does, whatever it returns; the log is its own."""
        schedule, _, rest = line.partition(" ")
        command = rest if schedule == "@reboot" else line.split(" ", 5)[5]
        subprocess.run(
            [*self.inside, "/bin/sh", "-c", command],
            env={"HOME": str(self.home), "LOGNAME": "ubuntu", "PATH": "/usr/bin:/bin", **more},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            start_new_session=True,
            check=False,
        )

    def path(self, remote: str) -> Path:
        return Path(remote.replace("~", str(self.home), 1))

    def run(self, command: str, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command of the file, and fail if it fails."""
        done = subprocess.run(
            [*self.inside, "bash", "-c", " ".join(_with_interactive(command))],
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            # An interactive shell would reach for the terminal of the tests.
            start_new_session=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"HOME": str(self.home), "USER": "ubuntu", "PATH": path, **dict(self.more)}


@contextmanager
def namespaces() -> Iterator[list[str]]:
    """Yield words that run a command where no process, port or mount of this machine is in reach.

    What the file starts has its own ports there, and `ray stop` stops nothing else.
    """
    kept = "ip link set lo up && echo up && while true; do sleep 1000; done"
    flags = "--user --map-root-user --net --pid --fork --mount --mount-proc --kill-child"
    holder = subprocess.Popen(
        ["unshare", *flags.split(), "bash", "-c", kept],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "up\n":
            pytest.skip(f"no namespaces for ordinary users here: {holder.stderr.read().strip()}")
        first = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]
        yield f"nsenter --target {first} --user --net --pid --mount --preserve-credentials".split()
    finally:
        # All processes of the namespace end with its first.
        holder.kill()
        holder.wait()
