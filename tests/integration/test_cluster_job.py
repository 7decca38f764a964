"""The same job on a cluster: a head with token authentication, and `ray job submit`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.scoring.table import read_rows
from rankloop.storage import open_folder
from rankloop.training.checkpoints import Checkpoint, save_checkpoint

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).parent / "ray")

WHERE_PLATFORM_IS = """
import json, platform, sys
sys.path[:0] = ["platform", "."]
from rankloop.cluster import connected
import ray

def here(_):
    import os, platform, rankloop
    kept = os.environ.get("MALLOC_MMAP_MAX_")
    return [platform.__file__, platform.system(), rankloop.__file__, kept]

with connected():
    worker = ray.get(ray.remote(here).remote(0))
print("FOUND " + json.dumps({"driver": here(0), "worker": worker}))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, free_port):
    """A head started as the README says, on ports of its own; yields what submitting needs."""
    home, results = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("results")
    dashboard = free_port()
    # Ray's sockets lie below it, and their paths must be short.
    notes = tempfile.mkdtemp(prefix="rankloop-")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")},
        "HOME": str(home),
        # As after `source .venv/bin/activate`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "PYTHONPATH": "",
    }
    subprocess.run([RAY, "get-auth-token", "--generate"], env=environment, check=True)
    (home / ".ray" / "auth_token").chmod(0o600)
    starting = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    starting["RANKLOOP_STORAGE"] = str(results)
    head = subprocess.Popen(
        [
            *(RAY, "start", "--head", "--block", "--num-cpus", "2"),
            *("--port", str(free_port()), "--dashboard-port", str(dashboard)),
            # The usual ones may belong to a Ray that another test has started.
            *("--dashboard-agent-listen-port", str(free_port())),
            *("--ray-client-server-port", str(free_port())),
            # Ray's own range for workers may hold the ports just found free.
            *("--min-worker-port", "0", "--max-worker-port", "0"),
            # Ray notes there that it runs; a note left behind makes others wait for this head.
            *("--temp-dir", notes),
        ],
        env=starting,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 200
        while submit(environment, "python", "-c", "print(1)").returncode:
            assert time.monotonic() < deadline, "the cluster did not come up"
            time.sleep(1)
        yield environment
    finally:
        for process in [*psutil.Process(head.pid).children(recursive=True), head]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        head.wait()
        shutil.rmtree(notes, ignore_errors=True)


def submit(environment, *command):
    return subprocess.run(
        [RAY, "job", "submit", "--working-dir", ".", "--", *command],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_import_platform_is_pythons_own_in_driver_worker_and_submitted_job(cluster, tmp_path):
    script = tmp_path / "where.py"
    script.write_text(WHERE_PLATFORM_IS)
    done = submit(cluster, "python", str(script))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.split("FOUND ", 1)[1].splitlines()[0])
    for file, system, package, _ in found.values():
        assert Path(file).name == "platform.py"
        assert "rankloop" not in file
        assert system == sys.platform.capitalize()
        # It travelled with the job: the one installed here is not what ran.
        assert not package.startswith(str(ROOT))
    assert found["driver"][2] != found["worker"][2]
    # Freed memory is kept, which makes training on a CPU faster.
    assert found["worker"][3] == "0"


def test_without_a_token_nothing_is_accepted(cluster, tmp_path):
    stranger = {**cluster, "HOME": str(tmp_path)}
    done = submit(stranger, "python", "-c", "print('ran')")
    assert done.returncode != 0
    assert "ran" not in done.stdout
    assert "oken" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_job_outlives_who_submitted_it_and_its_log_can_be_followed(cluster, tmp_path):
    storage = tmp_path / "results"
    command = ["python", "jobs/tune_qrc.py", "--smoke", "--storage", str(storage)]
    output = interrupted(cluster, "a-sweep", "joining the Ray cluster", "--", *command)
    assert "finished" not in output
    followed = ray_job(cluster, "logs", "--follow", "a-sweep")
    assert "succeeded" in ray_job(cluster, "status", "a-sweep")
    (folder,) = (storage / "tune_qrc").iterdir()
    assert str(folder) in followed
    result = json.loads((folder / "result.json").read_text())
    assert result["trials"]["finished"] == 2
    assert (folder / "checkpoint" / "model.safetensors").exists()


def test_a_job_file_is_enough(cluster):
    """As in `ray job submit --working-dir . jobs/tune_qrc.py`: options and storage are defaults."""
    interrupted(cluster, "defaults", "trials, and the paper's", "jobs/tune_qrc.py")
    assert "RUNNING" in ray_job(cluster, "status", "defaults")
    ray_job(cluster, "stop", "defaults")
    assert "was stopped" in ray_job(cluster, "status", "defaults")


@pytest.mark.slow
def test_scores_of_a_submitted_job_are_where_they_outlive_it(cluster, tmp_path, s3_folder):
    """In the result folder, or in a bucket; not in the folder that the job ran in."""
    model, photos = scorer_and_photos(tmp_path)
    uri = s3_folder.replace("/results", "/scores.csv")
    score = f"python jobs/score.py {model} {photos}"
    done = submit(cluster, "bash", "-c", f"{score} && {score} --output '{uri}'")
    assert done.returncode == 0, done.stdout + done.stderr
    tables = re.findall(r"^table: (\S+)$", done.stdout, re.MULTILINE)
    folders = re.findall(r"^(/\S+/score/ssranking-\w+)$", done.stdout, re.MULTILINE)
    assert tables == [f"{folders[0]}/scores.csv", uri.replace("key:secret@", "")]
    for table, folder in zip(tables, folders, strict=True):
        assert json.loads(Path(folder, "result.json").read_text())["table"] == table
    rows = list(read_rows(Path(tables[0])))
    assert [Path(row.image).name for row in rows] == [f"{i}.png" for i in range(5)]
    assert all(row.score is not None for row in rows)
    bucket = open_folder(uri.replace("/scores.csv", ""))
    assert (bucket / "scores.csv.partial").names() == []
    assert bucket.read_bytes("scores.csv") == Path(tables[0]).read_bytes()


def scorer_and_photos(folder):
    config = SSRankingConfig(backbone="shallow", image_size=48, input_size=48)
    identity = {"method": "ssranking", "seed": 0, "config": config.model_dump(mode="json")}
    checkpoint = Checkpoint(1, SSRANKING.build(config, 0).state_dict(), {}, identity, {})
    (folder / "photos").mkdir()
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (50, 60, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{i}.png")
    return save_checkpoint(open_folder(str(folder)), "checkpoint", checkpoint), folder / "photos"


@pytest.mark.slow
def test_every_job_runs_from_the_folder_that_travelled(cluster, tmp_path):
    names = sorted(job.name for job in (ROOT / "jobs").glob("*.py"))
    one = "jobs/{} --help > help-{} && grep -q jobs/{} help-{} && echo RAN {}"
    every = f"printf '%s\\n' {' '.join(names)} | xargs -P 2 -I{{}} sh -c '{one}'"
    done = subprocess.run(
        [RAY, "job", "submit", "--working-dir", str(ROOT), "--", "bash", "-c", every],
        env=cluster,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(re.findall(r"^RAN (\S+)$", done.stdout, re.MULTILINE)) == names


def interrupted(environment, name, said, *command):
    """Submit, press Ctrl-C once the job has said something, and return what was printed."""
    submitting = subprocess.Popen(
        [RAY, "job", "submit", "--submission-id", name, "--working-dir", ".", *command],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs tests in the background has Ctrl-C ignored, also by what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    output = ""
    while said not in output:
        line = submitting.stdout.readline()
        assert line, output
        output += line
    submitting.send_signal(signal.SIGINT)
    rest, _ = submitting.communicate(timeout=60)
    assert submitting.returncode != 0
    return output + rest


def ray_job(environment, *command):
    done = subprocess.run(
        [RAY, "job", *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
