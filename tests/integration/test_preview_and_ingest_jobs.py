"""jobs/preview.py and jobs/ingest.py as a user runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from rankloop.datasets.pack import read_pack

pytestmark = pytest.mark.integration
JOBS = Path(__file__).parents[2] / "jobs"


def _run(job: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(JOBS / f"{job}.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_preview_draws_a_set(tmp_path: Path):
    done = _run("preview", "samples", "--ranked-set", "blur_x_noise", "--images", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "preview")
    with Image.open(tmp_path / "preview" / "blur_x_noise.png") as image:
        # Nine columns, two rows.
        assert image.width > 3 * image.height


def test_preview_refuses_what_it_does_not_know(tmp_path: Path):
    done = _run("preview", "samples", "--ranked-set", "gausian_blur", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: unknown ranked set 'gausian_blur': the nearest is 'gaussian_blur'"
    )
    done = _run("preview", cwd=tmp_path)
    assert done.returncode == 1
    assert "no data source" in done.stderr


def test_ingest_packs(tmp_path: Path):
    done = _run("ingest", "--smoke", "--output", "packed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "packed")
    assert len(read_pack(str(tmp_path / "packed")).images) == 680
