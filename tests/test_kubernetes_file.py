"""docs/kubernetes.yaml: against KubeRay's published schema, and against this checkout."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest
import yaml

from rankloop.locking import HEARTBEAT_SECONDS, PATIENCE_VARIABLE, STALE_SECONDS

ROOT = Path(__file__).resolve().parents[1]
ITEMS = yaml.safe_load((ROOT / "docs" / "kubernetes.yaml").read_text())["items"]
SCHEMAS = "KUBERAY_CRDS"


def job(item):
    return item["spec"].get("jobTemplate", item["spec"])


def strict(schema):
    """The schema as the API server applies it: fields that it does not name are refused."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(part) for name, part in schema.items()}
    if isinstance(found.get("properties"), dict) and "type" in found:
        found.setdefault("additionalProperties", False)
    return found


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["kind"])
def test_kuberay_accepts_it(item):
    folder = os.environ.get(SCHEMAS)
    if not folder:
        pytest.skip(
            f"set {SCHEMAS} to the folder crds of KubeRay's Helm chart, which is not ours to ship"
        )
    definition = yaml.safe_load((Path(folder) / f"ray.io_{item['kind'].lower()}s.yaml").read_text())
    (schema,) = (
        known["schema"]["openAPIV3Schema"]
        for known in definition["spec"]["versions"]
        if f"{definition['spec']['group']}/{known['name']}" == item["apiVersion"]
    )
    schema = strict(schema)
    # Kubernetes' own, which a definition leaves open.
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    validator = jsonschema.Draft7Validator(schema)
    assert not [f"{error.json_path}: {error.message}" for error in validator.iter_errors(item)]
    item = {**item, "spec": {**item["spec"], "shedule": "0 * * * *"}}
    assert list(validator.iter_errors(item)), "a misspelt field went through"


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["kind"])
def test_its_job_is_here_and_takes_these_options(item):
    python, script, *options = shlex.split(job(item)["entrypoint"])
    assert python == "python"
    done = subprocess.run(
        [sys.executable, script.replace("/opt/rankloop", str(ROOT)), *options, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in re.findall(r"--[a-z-]+", " ".join(options)):
        assert option in done.stdout


def test_clusters_have_this_ray_and_a_token_and_no_worker_before_one_is_needed():
    for item in ITEMS:
        cluster = job(item)["rayClusterSpec"]
        assert cluster["rayVersion"] == version("ray")
        assert cluster["authOptions"] == {"mode": "token"}
        assert cluster["enableInTreeAutoscaling"]
        (workers,) = cluster["workerGroupSpecs"]
        assert workers["minReplicas"] == workers["replicas"] == 0
        for pod in (cluster["headGroupSpec"], workers):
            (container,) = pod["template"]["spec"]["containers"]
            settings = {variable["name"]: variable["value"] for variable in container["env"]}
            assert settings["RANKLOOP_STORAGE"]
            assert settings["RANKLOOP_GPUS"] == str(workers["maxReplicas"])


def test_a_lost_head_is_tried_again_and_its_lock_waited_for():
    (sweep,) = (job(item) for item in ITEMS if item["kind"] == "RayJob")
    assert sweep["backoffLimit"] > 0
    for item in ITEMS:
        (container,) = job(item)["rayClusterSpec"]["headGroupSpec"]["template"]["spec"][
            "containers"
        ]
        settings = {variable["name"]: variable["value"] for variable in container["env"]}
        assert float(settings[PATIENCE_VARIABLE]) > STALE_SECONDS + HEARTBEAT_SECONDS


def test_every_cluster_goes_and_rounds_do_not_pile_up():
    for item in ITEMS:
        rules = job(item).get("deletionStrategy", {}).get("deletionRules", [])
        # The operator refuses both together.
        assert job(item).get("shutdownAfterJobFinishes", False) is not bool(rules)
        if item["kind"] == "RayCronJob":
            gone = [rule["condition"] for rule in rules if rule["policy"] == "DeleteSelf"]
            assert {next(iter(condition.items())) for condition in gone} == {
                ("jobStatus", "SUCCEEDED"),
                ("jobDeploymentStatus", "Failed"),
            }


def test_the_image_is_made_of_files_of_this_checkout():
    dockerfile = (ROOT / "docs" / "Dockerfile").read_text()
    assert "make venv" in dockerfile
    assert "/opt/rankloop" in dockerfile
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "venv" in targets
