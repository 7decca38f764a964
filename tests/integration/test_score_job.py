"""jobs/score.py as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.scoring.table import read_rows
from rankloop.storage import open_folder
from rankloop.training.checkpoints import Checkpoint, save_checkpoint

pytestmark = pytest.mark.integration
JOB = Path(__file__).parents[2] / "jobs" / "score.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder ``result``, and ``photos`` two of which are corrupt."""
    folder = tmp_path_factory.mktemp("score_job")
    config = SSRankingConfig(backbone="shallow", image_size=48, input_size=48)
    identity = {"method": "ssranking", "config": config.model_dump(mode="json"), "seed": 0}
    tensors = SSRANKING.build(config, 0).state_dict()
    save_checkpoint(
        open_folder(str(folder / "result")), "checkpoint", Checkpoint(1, tensors, {}, identity, {})
    )
    (folder / "photos").mkdir()
    for i in range(70):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((60, 50)).save(folder / "photos" / f"{i:03d}.png")
    (folder / "photos" / "005.png").write_bytes(b"no image")
    (folder / "photos" / "=6.png").write_bytes(b"")
    return folder


def _run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, str(JOB), *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_the_job_scores_a_folder_and_says_what_it_did(place: Path) -> None:
    done = _run(place, "result", "photos", "--output", "new/a.csv", "--batch-size", "7")
    assert done.returncode == 0, done.stderr
    *lines, folder = done.stdout.splitlines()
    assert lines == [
        "69 images scored, 2 failed",
        "  photos/005.png: not an image in one of the formats JPEG, PNG, BMP, WEBP, JPEG2000",
        "  photos/=6.png: the file is empty",
        "ssranking scores: higher is better",
        "table: new/a.csv",
    ]
    result = json.loads((Path(folder) / "result.json").read_text())
    assert Path(folder).parent == place / "results" / "score"
    assert result["data"]["paths"] == ["photos"]
    assert (result["data"]["scored"], result["data"]["failed"]) == (69, 2)
    assert result["table"] == str(place / "new" / "a.csv")
    assert result["config"]["input_size"] == 48
    assert result["scores_higher_is_better"] is True
    rows = list(read_rows(place / "new" / "a.csv"))
    assert len(rows) == 71
    assert len({row.score for row in rows}) > 60


def test_a_data_source_is_scored_like_its_images(place: Path) -> None:
    done = _run(place, "result", "--data", "folder:photos", "--output", "data.csv", "--smoke")
    assert done.returncode == 0, done.stderr
    assert "scored" in done.stdout
    rows = list(read_rows(place / "data.csv"))
    # Named as in the data, not by where they are.
    assert [row.image for row in rows] == [f"{number:03d}.png" for number in range(16)]


def test_no_name_moves_the_cursor(place: Path) -> None:
    folder = place / "hostile"
    folder.mkdir()
    good = (place / "photos" / "000.png").read_bytes()
    (folder / "good.png").write_bytes(good)
    (folder / "a\x1b[2J\nb.png").write_bytes(b"no image")
    (folder / "list.csv").write_text("image,score\ngood.png,1\nc\x1b]0;owned\x07.png,2\n")
    source = "csv:hostile/list.csv?higher_is_better=true"
    done = _run(place, "result", "hostile", "--data", source, "--output", "hostile.csv")
    assert done.returncode == 0, done.stderr
    assert not set("\x1b\x07") & set(done.stdout + done.stderr)
    assert r"  hostile/a\x1b[2J\nb.png: hostile/a\x1b[2J b.png: not an image" in done.stdout
    assert r"  c\x1b]0;owned\x07.png: " in done.stdout


def test_ray_data_gives_the_same_table(place: Path) -> None:
    alone = _run(place, "result", "photos", "--output", "alone.csv")
    through_ray = _run(
        place, "result", "photos", "--output", "ray.csv", "--workers", "2", "--batch-size", "8"
    )
    assert through_ray.returncode == 0, through_ray.stderr
    assert through_ray.stdout.splitlines()[1:-2] == alone.stdout.splitlines()[:-2]
    for one, other in zip(
        read_rows(place / "alone.csv"), read_rows(place / "ray.csv"), strict=True
    ):
        assert (one.image, one.error) == (other.image, other.error)
        assert other.score == pytest.approx(one.score, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "photos"], "error: no checkpoint in "),
        (["result"], "error: no PATH is given"),
        (["result", "--data", "folder:nowhere"], "error: the folder "),
        (["result", "nowhere"], "error: there is no image or folder nowhere"),
        (["result", "photos", "--output", "a.xlsx"], "error: output a.xlsx is neither .csv"),
        (["result", "photos/005.png"], "error: none of 1 images could be scored; scores.csv lists"),
    ],
)
def test_bad_input_is_one_line(place: Path, arguments: list[str], message: str) -> None:
    done = _run(place, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
