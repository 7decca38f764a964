"""A Ray cluster on several hosts: a head with MLflow, workers, and a bucket that all can reach."""

import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from hosts import STORE, Host, Switch, network

STORE_PORT = 9000
BUCKET = "rankloop"
MLFLOW = "http://127.0.0.1:5000"
DASHBOARD = "http://127.0.0.1:8265"
OBJECTS = str(200 * 2**20)
ALIVE = """
import json, os, ray
ray.init(address=os.environ["HEAD"], logging_level="ERROR", log_to_driver=False)
print("NODES", json.dumps([n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"]]))
"""


@dataclass
class RayHosts:
    """A cluster whose hosts can be killed, cut off and booted again."""

    switch: Switch
    head: Host
    workers: list[Host]
    folder: Path
    cpus: int
    settings: dict[str, str]

    @property
    def away(self) -> Path:
        """While this file exists, the store answers errors."""
        return self.folder / "away"

    def uri(self, folder: str) -> str:
        """URI of a folder in the bucket."""
        return (
            f"s3://{BUCKET}/{folder}?endpoint_override={STORE}:{STORE_PORT}"
            "&scheme=http&region=us-east-1"
        )

    def start_head(self) -> None:
        """Start Ray's head and MLflow, with all that MLflow had."""
        self.head.start(
            *("ray", "start", "--head", "--block", "--node-ip-address", self.head.address),
            *("--port", "6379", "--num-cpus", "0", "--object-store-memory", OBJECTS),
            *("--dashboard-host", "127.0.0.1"),
            log="ray.log",
            MLFLOW_TRACKING_URI=MLFLOW,
            **self.settings,
        )
        self.start_mlflow()
        _until(lambda: self.submit("python", "-c", "print(1)") is not None, "no head", 120)

    def start_mlflow(self) -> None:
        """Start MLflow on the head's loopback, with all that it had before."""
        kept = self.folder / "mlflow"
        kept.mkdir(exist_ok=True)
        self.head.start(
            *("mlflow", "server", "--host", "127.0.0.1", "--port", "5000", "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{kept}/mlflow.db"),
            *("--artifacts-destination", str(kept / "artifacts")),
            log="mlflow.log",
        )

    def stop_mlflow(self) -> None:
        """Kill MLflow."""
        self.head.run("pkill", "--signal", "KILL", "--full", "mlflow.server")

    def histories(self, page: str, metric: str) -> dict[str, list[tuple[int, float]]]:
        """Return the steps and values of a metric of each run on a comparison page, by name."""
        found = {}
        for run in json.loads(unquote(page.partition("?runs=")[2].partition("&")[0])):
            about = json.loads(self._get(f"{MLFLOW}/api/2.0/mlflow/runs/get?run_id={run}"))
            asked = f"metrics/get-history?run_id={run}&metric_key={quote(metric, safe='')}"
            points = json.loads(self._get(f"{MLFLOW}/api/2.0/mlflow/{asked}"))["metrics"]
            name = about["run"]["info"]["run_name"].split(" ")[0]
            found[name] = sorted((int(point["step"]), point["value"]) for point in points)
        return found

    def start_worker(self, host: Host) -> None:
        """Let a worker's Ray join the head's, and again whenever it has ended."""
        joining = (
            f"ray start --block --address {self.head.address}:6379 --num-cpus {self.cpus} "
            f"--node-ip-address {host.address} --object-store-memory {OBJECTS}"
        )
        host.start(
            *("sh", "-c", f"while true; do {joining}; sleep 2; done"),
            log="ray.log",
            **self.settings,
        )

    def wait_for(self, nodes: int, seconds: float = 120) -> None:
        """Wait until so many hosts are alive for Ray, the head among them."""
        _until(lambda: len(self.alive()) == nodes, f"not {nodes} nodes", seconds)

    def alive(self) -> list[str]:
        """Return the addresses of the hosts that Ray takes for alive."""
        said = self.head.run("python", "-c", ALIVE, HEAD=f"{self.head.address}:6379")
        found: list[str] = json.loads(said.split("NODES ", 1)[1].splitlines()[0])
        return found

    def submit(self, *command: str) -> str | None:
        """Submit a job without waiting for it and return its id; None if nobody takes it."""
        try:
            said = self.head.run(
                *("ray", "job", "submit", "--no-wait", "--working-dir", "."),
                *("--", *command),
                RAY_ADDRESS=DASHBOARD,
            )
        except AssertionError:
            return None
        return "raysubmit_" + said.split("'raysubmit_")[1].split("'")[0]

    def job(self, *command: str) -> str:
        """Submit a job, which must be taken, and return its id."""
        found = self.submit(*command)
        assert found is not None, "the head took no job"
        return found

    def status(self, job: str) -> str:
        """Return a job's state in Ray's words, such as RUNNING."""
        found: str = json.loads(self._dashboard(f"api/jobs/{job}"))["status"]
        return found

    def output(self, job: str) -> str:
        """Return what a job has printed so far."""
        found: str = json.loads(self._dashboard(f"api/jobs/{job}/logs"))["logs"]
        return found

    def hosts_of(self, actors: str) -> set[str]:
        """Return the ids of the hosts on which actors of a class have been so far."""
        asked = "api/v0/actors?limit=10000&filter_keys=class_name&filter_predicates=%3D"
        found = json.loads(self._dashboard(f"{asked}&filter_values={actors}"))
        return {actor["node_id"] for actor in found["data"]["result"]["result"]}

    def _dashboard(self, path: str) -> str:
        return self._get(f"{DASHBOARD}/{path}", f"Authorization: Bearer {self.head.token}")

    def _get(self, url: str, *headers: str) -> str:
        more = [word for header in headers for word in ("--header", header)]
        return self.head.run("curl", "--fail", "--silent", "--show-error", *more, url)

    def wait_for_output(self, job: str, text: str, seconds: float = 300) -> str:
        """Wait until a job has printed a text, and return all it has."""
        _until(lambda: text in self.output(job), f"{text!r} never came", seconds, self, job)
        return self.output(job)

    def wait_for_change(self, job: str, before: str, seconds: float = 120) -> None:
        """Wait until a job has printed more than before."""
        _until(lambda: self.output(job) != before, "it says no more", seconds, self, job)

    def finish(self, job: str, seconds: float = 900) -> str:
        """Wait for a job, which must end well, and return what it printed."""
        _until(
            lambda: self.status(job) not in ("RUNNING", "PENDING"), "it goes on", seconds, self, job
        )
        said = self.output(job)
        assert self.status(job) == "SUCCEEDED", said
        return said

    def ran_on(self, task: str) -> set[str]:
        """Return the ids of the hosts on which tasks of a name have run so far."""
        asked = "api/v0/tasks?limit=10000&detail=true&filter_keys=name&filter_predicates=%3D"
        found = json.loads(self._dashboard(f"{asked}&filter_values={quote(task)}"))
        return {one["node_id"] for one in found["data"]["result"]["result"] if one["node_id"]}

    def fetch(self, path: str) -> Path:
        """Copy an object of the bucket to a local file, and return that."""
        to = self.folder / "fetched"
        url = f"http://{STORE}:{STORE_PORT}/{BUCKET}/{path}"
        self.head.run("curl", "--fail", "--silent", "--show-error", "--output", str(to), url)
        return to

    def names(self, folder: str) -> list[str]:
        """Return the names of the folders below one of the bucket."""
        url = f"http://{STORE}:{STORE_PORT}/{BUCKET}?list-type=2&delimiter=%2F&prefix={folder}%2F"
        return re.findall(f"<Prefix>{folder}/([^<]+)/</Prefix>", self._get(url))

    def read_json(self, path: str) -> Any:
        """Return a JSON object of the bucket."""
        return json.loads(self.read(path))

    def read(self, path: str) -> str:
        """Return an object of the bucket as text."""
        return self._get(f"http://{STORE}:{STORE_PORT}/{BUCKET}/{path}")


@contextmanager
def ray_hosts(folder: Path, workers: int = 2, cpus: int = 1, **settings: str) -> Iterator[RayHosts]:
    """Boot a head and workers, and start Ray, MLflow and a store with a bucket on them."""
    names = ["head", *(f"worker{i + 1}" for i in range(workers))]
    with (
        network(folder, names, secrets.token_hex(32)) as (switch, hosts),
        bucket_of(switch, folder),
    ):
        cluster = RayHosts(switch, hosts[0], hosts[1:], folder, cpus, settings)
        cluster.start_head()
        for host in cluster.workers:
            cluster.start_worker(host)
        cluster.wait_for(1 + workers)
        yield cluster


@contextmanager
def bucket_of(switch: Switch, folder: Path) -> Iterator[None]:
    """Run a store with a bucket, which answers errors while the file `away` is in the folder."""
    store = switch.start(
        *(sys.executable, str(Path(__file__).with_name("s3_store.py"))),
        *(STORE, str(STORE_PORT), str(folder / "away")),
        log=folder / "store.log",
    )
    try:
        _until(lambda: _bucket_made(switch), "the store did not start", 60)
        yield
    finally:
        store.kill()
        store.wait()


def _bucket_made(switch: Switch) -> bool:
    code = (
        "import sys, urllib.request as u;"
        "u.urlopen(u.Request(sys.argv[1], method='PUT'), timeout=10)"
    )
    url = f"http://{STORE}:{STORE_PORT}/{BUCKET}"
    done = subprocess.run(
        ["nsenter", "-t", str(switch.process), "-n", sys.executable, "-c", code, url],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _until(condition, complaint, seconds, cluster=None, job=None):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{complaint}:\n{cluster.output(job) if cluster else ''}")
        # Asking takes a process each time.
        time.sleep(1.5)
