"""cluster.yaml: what Ray and AWS say to it, and its commands in a fresh home directory."""

import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.command_runner import _with_environment_variables
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster_node import BUCKET, CRONTAB, FILE, GPUS, ROOT, Node, cluster_config

ABOVE, BELOW = FILE.read_text().split("# ---- What follows need not change")


@pytest.fixture
def node(tmp_path):
    found = Node(tmp_path / "home")
    found.home.mkdir()
    found.copy(cluster_config())
    return found


def test_ray_accepts_it():
    config = cluster_config()
    validate_config(config)
    assert config["provider"]["type"] == "aws"
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d", config["provider"]["region"])
    # Its launcher warns where it does not see these.
    (start,) = (command for command in config["head_start_ray_commands"] if "ray start" in command)
    assert "--autoscaling-config" in start
    for local in config["file_mounts"].values():
        assert local.startswith("~") or (ROOT / local).exists()


def test_ray_accepts_it_for_machines_one_already_has():
    """As the README says."""
    readme = " ".join((ROOT / "README.md").read_text().split())
    (provider,) = re.findall(r"`provider: (\{type: local[^`]*\})`", readme)
    (deleted,) = re.findall(r"and delete ([^.]*)\.", readme)
    config = yaml.safe_load(FILE.read_text()) | {"provider": yaml.safe_load(provider)}
    for name in re.findall(r"`(\w+)`", deleted):
        del config[name]
    config = prepare_config(config)
    validate_config(config)
    assert config["max_workers"] == 2


def test_a_cpu_head_and_workers_from_none_that_may_be_spot():
    config = cluster_config()
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert head["resources"]["CPU"] == 0
    assert all(kind["min_workers"] == 0 for kind in types.values())
    assert types["spot"]["max_workers"] > 0
    assert types["spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in types["on_demand"]["node_config"]
    # A worker of the machine named there has one.
    assert f"RANKLOOP_GPUS={config['max_workers']}" == GPUS
    assert GPUS in config["metadata"]["settings"]


def test_values_to_set_are_at_the_top_each_with_a_comment():
    assert BUCKET in ABOVE
    assert BUCKET not in BELOW
    values = yaml.safe_load(ABOVE)
    # What the rest refers to, and nothing it does not.
    anchors = set(re.findall(r": &(\w+)", ABOVE))
    assert anchors == set(values["metadata"])
    assert anchors == set(re.findall(r"[:-] \*(\w+)", BELOW))


def test_only_loopback_and_the_token():
    config = cluster_config()
    commands = "\n".join(config["head_setup_commands"])
    assert "--dashboard-host=127.0.0.1" in commands
    assert "mlflow server --host 127.0.0.1" in commands
    assert "0.0.0.0" not in FILE.read_text()
    # Ray lets in SSH by itself, and more than that by this key alone.
    assert "security_group" not in config["provider"]
    assert "RAY_AUTH_MODE=token" in "\n".join(config["setup_commands"])
    assert "~/.ray/auth_token" in config["file_mounts"]


def head_setup(*, rounds=False, **changes):
    """The commands for the head alone, once somebody has taken the # away or put it back."""
    config = cluster_config(**changes)
    # Ray puts those of all nodes before them.
    commands = config["head_setup_commands"][len(config["setup_commands"]) :]
    return [command.replace("# 0 * *", "0 * *") if rounds else command for command in commands]


def test_rounds_are_off_and_a_crontab():
    (text,) = re.findall(r"<<'END'\n(.*)END\n", cluster_config()["metadata"]["rounds"], re.DOTALL)
    (line,) = text.splitlines()
    minute, *_, command = line.removeprefix("# ").split(" ", 5)
    assert line.startswith("# ")
    assert minute == "0"
    assert "--round" in command


@pytest.mark.parametrize("users", ["", "MAILTO=me\n\n# rankloop is mine\n5 4 * * * mine\n"])
def test_a_crontab_keeps_the_users_lines(node, users):
    node.fake("crontab", CRONTAB)
    crontab = node.path("~/crontab")
    if users:
        crontab.write_text(users)
    for rounds in (False, False, True, True, False):
        for command in head_setup(rounds=rounds):
            node.run(command)
        text = crontab.read_text()
        assert text.startswith(users)
        ours = text.removeprefix(users).splitlines()
        assert [line.split()[0] for line in ours] == ["@reboot", "30", "0" if rounds else "#"]
        assert all(line.endswith(" # rankloop") for line in ours)
        # In a crontab % is the end of the line, and a variable would be the user's lines', too.
        assert "%" not in "".join(ours)


@pytest.mark.parametrize("missing", ["make", "rsync", "ensurepip", "crontab", None])
def test_packages_that_are_missing_are_installed(node, missing):
    tools = node.fake("sudo", 'echo "$@" >> ~/asked')
    for tool in {"make", "rsync", "crontab"} - {missing}:
        node.fake(tool, "")
    node.fake("python3", f"exit {int(missing == 'ensurepip')}")
    node.path("~/.bash_profile").write_text(f"PATH={tools}\n")
    for command in cluster_config()["head_setup_commands"]:
        if "apt-get" in command:
            node.run(command)
    if missing is None:
        assert not node.path("~/asked").exists()
        return
    apt = "env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=600"
    wanted = "cron" if missing == "crontab" else "make rsync python3-venv"
    asked = node.path("~/asked").read_text().splitlines()
    assert asked == [f"{apt} update", f"{apt} install {wanted}"]


def servers(node):
    """Ids of the processes of the node's MLflow servers, ours and others."""
    found = subprocess.run(
        ["pgrep", "--full", f"{node.home}/.*/mlflow server"], capture_output=True, text=True
    )
    return {int(line) for line in found.stdout.split()}


@pytest.fixture
def head(node):
    """A head whose MLflow and Ray are stand-ins that write down what they were asked."""
    node.fake("crontab", CRONTAB)
    node.fake("hostname", "echo 10.0.0.1")
    venv = node.path("~/rankloop/.venv/bin")
    venv.mkdir(parents=True)
    for name, script in {
        "mlflow": "while true; do sleep 0.1; done",
        "ray": 'echo ray "$@" "$RAY_OVERRIDE_RESOURCES" >> ~/asked',
        "curl": "",
        "python": f'exec {sys.executable} "$@"',
    }.items():
        node.fake(name, script).joinpath(name).rename(venv / name)
    # Or `make venv` would install into the environment of these tests.
    (venv.parent / "ready").touch()
    bucket = f"file://{node.home}/bucket"
    for command in cluster_config(bucket=bucket)["setup_commands"]:
        if "cluster.env" in command:
            node.run(command)
    for command in head_setup(bucket=bucket):
        node.run(command)
    yield replace(node, more=(("PYTHONPATH", str(ROOT / "platform")),))
    for process in servers(node):
        os.kill(process, signal.SIGKILL)


def test_a_head_starts_again_after_a_boot_and_stops_no_other_server(head):
    other = subprocess.Popen(
        [head.path("~/rankloop/.venv/bin/mlflow"), "server"], start_new_session=True
    )
    known = {"RAY_OVERRIDE_RESOURCES": {"CPU": 0}}
    for command in cluster_config()["head_start_ray_commands"]:
        head.run(_with_environment_variables(command, known))
    asked = head.path("~/asked").read_text()
    assert re.search(r'^ray start --head .*--autoscaling-config=\S+ \{"CPU":0\}$', asked, re.M)
    (ours,) = servers(head) - {other.pid}

    head.path("~/asked").unlink()
    reboot = re.findall("^@reboot.*$", head.path("~/crontab").read_text(), re.M)[0]
    paths = {"PATH": f"{head.home}/fake:/usr/bin:/bin", "PYTHONPATH": str(ROOT / "platform")}
    head.by_cron(reboot, **paths)
    assert head.path("~/asked").read_text() == asked
    assert other.poll() is None
    (again,) = servers(head) - {other.pid}
    assert again != ours
    other.kill()
    other.wait()


def test_a_new_head_begins_with_the_hourly_copy_of_the_old_ones_runs(head):
    database, bucket = head.path("~/mlflow/mlflow.db"), head.path("~/bucket/mlflow/mlflow.db")
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
    (save,) = re.findall("^30 .*$", head.path("~/crontab").read_text(), re.M)
    head.by_cron(save, PYTHONPATH=str(ROOT / "platform"))
    assert bucket.exists(), head.path("~/mlflow/backup.log").read_text()
    database.unlink()
    for command in cluster_config()["head_start_ray_commands"]:
        head.run(command)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]


def test_setting_up_a_node_twice_is_setting_it_up_once(node):
    node.borrow_environment()
    config = cluster_config()
    commands = [*config["initialization_commands"], *config["setup_commands"]]
    for command in commands:
        done = node.run(command)
    assert "Nothing to be done" in done.stdout
    assert "pip" not in done.stdout
    files = {name: node.path(name).read_text() for name in ("~/cluster.env", "~/.bashrc")}
    for command in commands:
        node.run(command)
    assert files == {name: node.path(name).read_text() for name in files}

    token = node.path("~/.ray/auth_token")
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    shown = node.run("env; command -v ray python")
    for line in (
        f"RANKLOOP_STORAGE={BUCKET}/results",
        "RAY_AUTH_MODE=token",
        "MLFLOW_TRACKING_URI=http://127.0.0.1:5000",
        f"{node.home}/rankloop/.venv/bin/ray",
        f"{node.home}/rankloop/.venv/bin/python",
    ):
        assert line in shown.stdout.splitlines()


def test_nothing_that_git_ignores_is_mounted(node):
    mounted = {path.relative_to(node.home) for path in node.home.rglob("*") if path.is_file()}
    known = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = {Path("rankloop", name) for name in known.stdout.splitlines()}
    assert mounted - tracked == {Path(".ray/auth_token")}


def test_aws_makes_what_it_asks_for_and_opens_ssh_alone(tmp_path, s3_server, monkeypatch):
    """Against a server with AWS's own interface: what the launcher asks for before any SSH."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{s3_server}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        # Ray writes its SSH key there.
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    import boto3
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    region = cluster_config()["provider"]["region"]
    iam = boto3.client("iam", region)
    for profile in ("rankloop-head", "rankloop-worker"):
        iam.create_instance_profile(InstanceProfileName=profile)
    config = AWSNodeProvider.bootstrap_config(cluster_config())
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for name, kind in config["available_node_types"].items():
        tags = {"ray-user-node-type": name, "ray-node-type": name, "ray-launch-config": name}
        provider.create_node(kind["node_config"], tags, 1)

    ec2 = boto3.resource("ec2", region)
    made = {
        tag["Value"]: instance
        for instance in ec2.instances.all()
        for tag in instance.tags
        if tag["Key"] == "ray-user-node-type"
    }
    assert made.keys() == {"head", "spot", "on_demand"}
    assert made["spot"].instance_lifecycle == "spot"
    assert made["on_demand"].instance_lifecycle != "spot"
    for instance in made.values():
        for group in instance.security_groups:
            for rule in ec2.SecurityGroup(group["GroupId"]).ip_permissions:
                outside = rule["IpRanges"] or rule["Ipv6Ranges"] or rule["PrefixListIds"]
                assert not outside or (rule["FromPort"], rule["ToPort"]) == (22, 22)
                assert outside or rule["UserIdGroupPairs"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_node_is_set_up_from_nothing(node):
    """Takes minutes and 7 GB: the packages really come, from where this machine gets them."""
    known = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    settings = Path.home() / ".config" / "pip"
    if settings.exists():
        node.path("~/.config").mkdir()
        node.path("~/.config/pip").symlink_to(settings)
    node = replace(node, more=tuple(known.items()))
    commands = cluster_config()["setup_commands"]
    for command in commands:
        node.run(command, timeout=1500)
    found = node.run("python -c 'import rankloop, ray; print(rankloop.__file__)'; command -v ray")
    assert f"{node.home}/rankloop/platform/rankloop/__init__.py" in found.stdout
    assert f"{node.home}/rankloop/.venv/bin/ray" in found.stdout
    assert "Nothing to be done" in node.run(commands[-1]).stdout
    shutil.rmtree(node.home)
