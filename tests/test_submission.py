"""What `ray job submit` makes of this checkout before anything runs."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from ray._private.runtime_env.packaging import create_package
from ray._private.runtime_env.working_dir import upload_working_dir_if_needed

ROOT = Path(__file__).resolve().parents[1]
JOBS = sorted((ROOT / "jobs").glob("*.py"))
MOST = 5_000_000


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_is_a_command_of_its_own(job):
    assert job.read_text().startswith("#!/usr/bin/env python\n")
    assert os.access(job, os.X_OK)
    listed = subprocess.run(
        ["git", "ls-files", "--stage", str(job)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.startswith("100755 ")


def test_what_travels_is_small_and_what_git_tracks(tmp_path):
    checkout, package = tmp_path / "checkout", tmp_path / "package.zip"
    for name in tracked():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    for name in ("results/a", "mlruns/b", "pack/c", ".venv/lib/d", ".git/e", "jobs/__pycache__/f"):
        (checkout / name).parent.mkdir(parents=True)
        (checkout / name).write_bytes(os.urandom(MOST))

    def upload(folder, excludes, is_file=False):
        create_package(folder, package, include_gitignore=True, excludes=excludes)

    upload_working_dir_if_needed({"working_dir": str(checkout)}, True, upload_fn=upload)
    assert package.stat().st_size < MOST
    found = {name for name in zipfile.ZipFile(package).namelist() if not name.endswith("/")}
    assert found == set(tracked())
