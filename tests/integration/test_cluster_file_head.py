"""The head of cluster.yaml, started by the file's own commands, and a laptop that uses it."""

import json
import re
import subprocess
import tempfile

import pytest
from ray._private.ray_constants import RESOURCES_ENVIRONMENT_VARIABLE as OVERRIDE
from ray.autoscaler._private.command_runner import _with_environment_variables
from ray.autoscaler._private.util import with_envs

from cluster_node import CRONTAB, ROOT, Node, cluster_config, namespaces
from scored_photos import write_scored_photos

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HEAD = "f" * 51 + "00000"
SMALL = (
    "--backbone shallow --weights none --input-size 48 --steps 2 --distortions gaussian_noise "
    "--ranked-images 10 --labelled-images 4 --test-sub-images 2 --workers 0 --scoring-workers 0"
)
FOUND = """
import json, os, sys
sys.path.insert(0, "platform")
from rankloop.cluster import connected, gpus_per_run
import ray

with connected():
    there = ray.cluster_resources()
    print("FOUND " + json.dumps({"cpus": there.get("CPU", 0), "gpus": there.get("GPU", 0),
        "gpus_per_run": gpus_per_run(), "storage": os.environ["RANKLOOP_STORAGE"]}))
"""


def scaling(config):
    """What the launcher writes for the autoscaler, with workers that Ray starts on this machine."""
    lists = ("initialization_commands", "setup_commands", "head_setup_commands")
    starts = ("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
    worker = {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 1}
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    return {
        **config,
        **{name: [] for name in (*lists, *starts)},
        "file_mounts": {},
        "provider": {"type": "fake_multinode", "head_node_id": HEAD, "launch_multiple": True},
        "available_node_types": {"ray.head.default": head, "spot": worker},
        "head_node_type": "ray.head.default",
    }


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """The head, once all commands have run that `ray up` runs on it."""
    home = tmp_path_factory.mktemp("head")
    bucket = tmp_path_factory.mktemp("bucket")
    config = cluster_config(str(bucket), gpus="RANKLOOP_GPUS=0")
    # Ray's sockets lie below it, and their paths must be short.
    with namespaces() as inside, tempfile.TemporaryDirectory(prefix="rankloop-") as notes:
        more = {
            "RAY_TMPDIR": notes,
            "RAY_FAKE_CLUSTER": "1",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        }
        node = Node(home, inside, tuple(more.items()))
        node.copy(config)
        node.borrow_environment()
        node.fake("crontab", CRONTAB)
        # Those of all nodes are the first of them.
        for command in config["head_setup_commands"]:
            node.run(command)
        node.path("~/ray_bootstrap_config.yaml").write_text(json.dumps(scaling(config)))
        known = {"RAY_enable_autoscaler_v2": "1", "RAY_CLOUD_INSTANCE_ID": HEAD}
        resources = config["available_node_types"]["head"]["resources"]
        for command in with_envs(config["head_start_ray_commands"], known):
            node.run(_with_environment_variables(command, {OVERRIDE: resources}), timeout=300)
        yield node, bucket


@pytest.fixture
def laptop(head, tmp_path):
    """Another home directory with the token, and the ports that `ray dashboard` forwards."""
    node, _ = head
    home = tmp_path / "laptop"
    (home / ".ray").mkdir(parents=True)
    token = home / ".ray" / "auth_token"
    token.write_text(node.path("~/.ray/auth_token").read_text())

    def run(*command):
        return subprocess.run(
            [*node.inside, f"--wd={ROOT}", *command],
            env={
                "HOME": str(home),
                "PATH": node.environment()["PATH"],
                "RAY_AUTH_MODE": "token",
                "RAY_ADDRESS": "http://127.0.0.1:8265",
            },
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    return run


def submit(laptop, head, *command):
    ray = str(head[0].path("~/rankloop/.venv/bin/ray"))
    done = laptop(ray, "job", "submit", "--working-dir", ".", "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_jobs_inherit_the_settings_and_know_which_gpus_may_come(laptop, head, tmp_path):
    script = tmp_path / "found.py"
    script.write_text(FOUND)
    output = submit(laptop, head, "env", "RANKLOOP_GPUS=4", "python", str(script))
    found = json.loads(re.findall("FOUND (.*)", output)[0])
    storage = f"{head[1]}/results"
    assert found == {"cpus": 0, "gpus": 0, "gpus_per_run": 1, "storage": storage}


def test_a_round_by_cron_runs_its_line(head, tmp_path):
    node, bucket = head
    photos = write_scored_photos(tmp_path)
    data = f"'csv:{photos}/scores.csv?higher_is_better=true' folder:{photos}"
    (line,) = re.findall(r"^# (0 \* .*)$", node.path("~/crontab").read_text(), re.MULTILINE)
    line, changed = re.subn("--data .* >>", f"--data {data} {SMALL} >>", line)
    assert changed
    # Without it the line would find Rays of this machine that are no business of the test.
    node.by_cron(line, timeout=400, RAY_TMPDIR=dict(node.more)["RAY_TMPDIR"])
    log = node.path("~/rounds.log").read_text()
    assert "joining the Ray cluster" in log
    assert f"put answers to {bucket}/results/active_learning/campaign/cycle-001/request" in log
    shown = node.run("mlflow experiments search")
    assert "rankiqa" in shown.stdout
    assert node.path("~/mlflow/mlflow.db").exists()


def test_dashboard_and_mlflow_listen_on_loopback_alone(head):
    listening = head[0].run("ss -ltnH").stdout
    for port in (8265, 5000):
        assert re.findall(rf"\s(\S+):{port}\s", listening) == ["127.0.0.1"]


def test_who_has_no_token_is_refused(head, tmp_path):
    node, _ = head
    stranger = Node(tmp_path, node.inside)
    done = subprocess.run(
        [*node.inside, "curl", "--silent", "http://127.0.0.1:8265/api/jobs/"],
        env=stranger.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "oken" in done.stdout
