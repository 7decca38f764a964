"""`ray up cluster.yaml` by SSH, from a laptop to machines that are namespaces of this one."""

import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hosts import Host, network
from ray.autoscaler._private.local.config import get_state_path
from ray.autoscaler._private.local.node_provider import LocalNodeProvider
from ray.autoscaler._private.providers import _get_default_config
from ray.autoscaler.tags import (
    NODE_KIND_HEAD,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)
from ray_hosts import BUCKET, DASHBOARD, MLFLOW, STORE, STORE_PORT, bucket_of

from cluster_node import CRONTAB, FILE, Node

SSHD = "/usr/sbin/sshd"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not Path(SSHD).exists(), reason=f"needs OpenSSH's server, {SSHD}"),
]

USER = "ubuntu"
# What a cloud's machines know by themselves.
CLOUD = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": f"http://{STORE}:{STORE_PORT}",
}
SWEEP = ("python", "jobs/tune_qrc.py", "--smoke", "--workers", "2")


@dataclass(frozen=True)
class Cloud:
    """A laptop, machines without anything on them, and the file that says what to make of them."""

    laptop: Host
    head: Host
    workers: list[Host]
    folder: Path
    file: Path

    def run(self, *command: str, timeout: float = 600) -> str:
        """Type a command on the laptop."""
        return self.laptop.run(*command, timeout=timeout, RAY_ADDRESS=DASHBOARD)

    def up(self) -> None:
        """Make or change the cluster."""
        self.run("ray", "up", "--yes", str(self.file))

    @contextmanager
    def ports(self) -> Iterator[None]:
        """Keep the two `ray dashboard` of the README open."""
        kept = [
            self.laptop.start(
                *("ray", "dashboard", str(self.file), "--port", port, "--remote-port", port),
                log=f"port-{port}.log",
            )
            for port in ("8265", "5000")
        ]
        try:
            for url in (f"{MLFLOW}/health", f"{DASHBOARD}/api/version"):
                header = f"Authorization: Bearer {self.laptop.token}"
                waiting = "--retry 60 --retry-delay 1 --retry-connrefused --fail --silent"
                self.run("curl", *waiting.split(), "--header", header, url)
            yield
        finally:
            for one in kept:
                one.terminate()
                one.wait()

    def submit(self, *command: str) -> str:
        """Submit a job, watch it to its end, and return what it printed."""
        said = self.run("ray", "job", "submit", "--working-dir", ".", "--", *command)
        lines = said.partition("Running entrypoint")[2].splitlines()
        return "\n".join(line for line in lines if line and " cli.py:" not in line)

    def workers_there(self) -> int:
        """How many workers Ray has."""
        said = self.run("ray", "exec", str(self.file), "ray status")
        nodes = said.partition("Active:")[2].partition("Pending:")[0]
        found = re.findall(r"^ (\d+) (?:spot|local\.cluster\.node)", nodes, re.MULTILINE)
        return sum(int(number) for number in found)

    def runs_in_mlflow(self) -> list[str]:
        """Names of the runs that MLflow shows on the laptop."""
        url = f"{MLFLOW}/api/2.0/mlflow"
        named = self._mlflow(f"{url}/experiments/get-by-name?experiment_name=ssranking")
        ids = [named["experiment"]["experiment_id"]]
        query = json.dumps({"experiment_ids": ids, "max_results": 100})
        found = self._mlflow(f"{url}/runs/search", "--json", query)
        return [run["info"]["run_name"] for run in found["runs"]]

    def _mlflow(self, url: str, *more: str) -> Any:
        return json.loads(self.run("curl", "--fail", "--silent", *more, url))


def prepare(host: Host, key: Path) -> None:
    """Make a host what a new machine is: a user, SSH, the programs of the image."""
    node = Node(host.folder / "home")
    # It is made for minutes by the file's command; `tests/test_cluster_file.py` does that once.
    node.borrow_environment()
    node.fake("crontab", CRONTAB)
    shutil.rmtree(node.path("~/.ray"))
    path = f"export PATH={Path(sys.base_prefix) / 'bin'}:$PATH\n"
    exports = "".join(f"export {name}={value}\n" for name, value in CLOUD.items())
    node.path("~/.bashrc").touch()
    profile = node.path("~/.bash_profile")
    profile.write_text(f"{path}{exports}{profile.read_text()}. ~/.bashrc\n")
    users = host.folder / "passwd"
    sshd = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin"
    users.write_text(f"{USER}:x:0:0::{node.home}:/bin/bash\n{sshd}\n")
    host.run("mount", "--bind", str(users), "/etc/passwd")
    # Ray takes the address that leads to the world for the host's own.
    host.run("ip", "route", "add", "default", "via", STORE)
    host.run("mkdir", "-p", "/run/sshd")
    host_key = host.folder / "host_key"
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key))
    options = (
        f"HostKey={host_key}",
        f"AuthorizedKeysFile={key.with_suffix('.pub')}",
        # Folders of tests are below one that all may write to.
        "StrictModes=no",
        "PidFile=none",
    )
    words = [word for option in options for word in ("-o", option)]
    host.start(SSHD, "-D", "-f", "/dev/null", *words, log="sshd.log")


def know_that_head_runs(head: Host) -> None:
    """Tell the head's autoscaler what it would ask a cloud."""
    tags = {
        TAG_RAY_NODE_KIND: NODE_KIND_HEAD,
        TAG_RAY_USER_NODE_TYPE: "head",
        TAG_RAY_NODE_NAME: "ray-rankloop-head",
        TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE,
    }
    state = json.dumps({head.address: {"tags": tags, "state": "running"}})
    head.run("sh", "-c", f"echo '{state}' > {get_state_path('rankloop')}")


def from_nothing(config: dict[str, Any], head: Host, workers: list[Host]) -> dict[str, Any]:
    """The file for a cloud whose machines these are: workers come when they are needed."""
    module = f"{LocalNodeProvider.__module__}.{LocalNodeProvider.__name__}"
    # Ray completes the files of its own clouds alone.
    config = _get_default_config({"type": "aws"}) | config
    config["provider"] = {"type": "external", "module": module} | addresses(head, workers)
    config["available_node_types"]["spot"]["resources"] = {"CPU": 1}
    config["idle_timeout_minutes"] = 1
    return config


def of_ones_own(config: dict[str, Any], head: Host, workers: list[Host]) -> dict[str, Any]:
    """The file as the README changes it for machines that are there."""
    config["provider"] = {"type": "local"} | addresses(head, workers)
    for name in ("head_node_type", "available_node_types", "max_workers"):
        del config[name]
    return config


def addresses(head: Host, workers: list[Host]) -> dict[str, Any]:
    return {"head_ip": head.address, "worker_ips": [worker.address for worker in workers]}


@contextmanager
def cloud(
    folder: Path, change: Callable[[dict[str, Any], Host, list[Host]], dict[str, Any]], bucket: str
) -> Iterator[Cloud]:
    """Boot a laptop and three machines, and write the laptop's file."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    names = ["laptop", "head", "worker1", "worker2"]
    with (
        network(folder, names, secrets.token_hex(32)) as (switch, hosts),
        bucket_of(switch, folder),
    ):
        laptop, head, *workers = hosts
        for host in (head, *workers):
            prepare(host, key)
        text = FILE.read_text().replace("s3://BUCKET", bucket)
        text = text.replace("RANKLOOP_GPUS=4", "RANKLOOP_GPUS=0")
        config = change(yaml.safe_load(text), head, workers)
        config["auth"] = {"ssh_user": USER, "ssh_private_key": str(key)}
        file = folder / "cluster.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        yield Cloud(laptop, head, workers, folder, file)


def until(condition: Callable[[], bool], complaint: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(2)


def test_workers_come_from_nothing_for_a_sweep_and_go(tmp_path: Path) -> None:
    with cloud(tmp_path, from_nothing, f"s3://{BUCKET}") as made:
        know_that_head_runs(made.head)
        made.up()
        with made.ports():
            assert made.workers_there() == 0
            begun = time.monotonic()
            with ThreadPoolExecutor(1) as pool:
                job = pool.submit(made.submit, *SWEEP)
                there = []
                # Not all to its end: the first without a trial goes after a minute.
                while not job.done():
                    there.append(made.workers_there())
                    time.sleep(5)
                said = job.result()
            print(f"\nsweep with workers from nothing: {time.monotonic() - begun:.0f} s")
            assert said.splitlines()[-1].startswith(f"s3://{BUCKET}/results/"), said
            assert max(there) == 2
            before = made.runs_in_mlflow()
            assert len(before) == 5
            # Pictures and models went to the bucket, through MLflow's server.
            listed = f"http://{STORE}:{STORE_PORT}/{BUCKET}?list-type=2&prefix=mlflow/"
            assert "/model.safetensors<" in made.head.run("curl", "--fail", "--silent", listed)
            begun = time.monotonic()
            until(lambda: made.workers_there() == 0, "idle workers stay")
            print(f"idle workers were gone after {time.monotonic() - begun:.0f} s")
        made.run("ray", "down", "--yes", str(made.file))
        with pytest.raises(AssertionError):
            # Nobody takes away what has ended on these hosts.
            made.head.run("pgrep", "--runstates", "S,R,D", "gcs_server")
        know_that_head_runs(made.head)
        made.up()
        with made.ports():
            assert made.runs_in_mlflow() == before
            begun = time.monotonic()
            assert made.submit(*SWEEP).splitlines()[-1] == said.splitlines()[-1]
            print(f"the finished sweep submitted again: {time.monotonic() - begun:.0f} s")
            assert made.workers_there() == 0


def test_machines_that_one_has_by_the_readme(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with cloud(tmp_path, of_ones_own, str(shared)) as made:
        made.up()
        with made.ports():
            until(lambda: made.workers_there() >= 2, "workers do not come")
            said = made.submit(*SWEEP)
            assert said.splitlines()[-1].startswith(f"{shared}/results/"), said
            assert len(made.runs_in_mlflow()) == 5
