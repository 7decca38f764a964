"""A logged scorer, as anybody with MLflow loads it."""

import ast
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.scoring.scorer import load_scorer
from rankloop.storage import open_folder
from rankloop.training.checkpoints import Checkpoint, save_checkpoint

pytestmark = pytest.mark.integration

# What a stranger runs: rankloop is not importable, and pickle is forbidden.
STRANGER = """
import json, sys
sys.path = [p for p in sys.path if p.rstrip("/").rpartition("/")[2] != "platform"]
try:
    import rankloop
    raise SystemExit("rankloop is importable")
except ImportError:
    pass
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
paths = sys.argv[2:]
contents = [open(path, "rb").read() for path in paths]
import rankloop
try:
    model.predict([contents[0], b"no image"])
except Exception as error:
    refusal = str(error)
print(json.dumps({
    "refusal": refusal,
    "list of bytes": model.predict(contents),
    "list of paths": model.predict(paths),
    "frame of bytes": model.predict(pandas.DataFrame({"image": contents})),
    "frame of paths": model.predict(pandas.DataFrame({"path": paths})),
    "some of both": model.predict([paths[0], contents[1], paths[2]]),
    "example": model.predict(model.input_example),
    "signature": str(model.metadata.signature),
    "package": rankloop.__file__,
    "modules": [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "rankloop"],
}))
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = SSRankingConfig(backbone="shallow", image_size=48, input_size=48)
    identity = {"method": "ssranking", "config": config.model_dump(mode="json"), "seed": 0}
    tensors = SSRANKING.build(config, 0).state_dict()
    folder = open_folder(str(tmp_path_factory.mktemp("mlflow_model")))
    return Path(save_checkpoint(folder, "best", Checkpoint(1, tensors, {}, identity, {})).path)


def test_a_logged_scorer_scores_bytes_and_paths_anywhere(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    from rankloop.scoring.mlflow_model import REQUIREMENTS, log_scorer

    paths = []
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((60, 50)).save(tmp_path / f"{i}.png")
        paths.append(str(tmp_path / f"{i}.png"))
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(store)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    before = mlflow.get_tracking_uri()

    example = Path(paths[0]).read_bytes()
    uri = log_scorer(store, run, checkpoint, example)

    assert log_scorer(store, run, checkpoint, example) == uri
    assert mlflow.get_tracking_uri() == before
    assert client.get_run(run).info.status == "RUNNING"
    assert [m.name for m in client.search_logged_models([experiment])] == ["model"]
    assert not list((tmp_path / "artifacts").rglob("*.pkl"))

    environment = os.environ | {
        "MLFLOW_TRACKING_URI": store,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, uri, *paths],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "UserWarning" not in done.stderr
    found = ast.literal_eval(done.stdout.splitlines()[-1])
    expected = [load_scorer(str(checkpoint)).score_image(path) for path in paths]
    assert len(set(expected)) == 3
    forms = ("list of bytes", "list of paths", "frame of bytes", "frame of paths", "some of both")
    for form in forms:
        assert found[form] == pytest.approx(expected, abs=1e-5), form
    assert found["example"] == pytest.approx(expected[:1], abs=1e-5)
    assert found["refusal"].startswith("image 1 of 2: not an image")
    assert "Any" in found["signature"]
    assert "double" in found["signature"]
    assert found["package"].startswith(str(tmp_path / "artifacts"))
    assert _distributions(found["modules"]) <= {"mlflow", *REQUIREMENTS}


def _distributions(files: list[str]) -> set[str]:
    """Distributions that modules import when they are imported themselves."""
    names: set[str] = set()
    for file in files:
        for statement in ast.parse(Path(file).read_text()).body:
            if isinstance(statement, ast.Import):
                names |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom) and statement.module:
                names.add(statement.module.split(".")[0])
    owners = packages_distributions()
    return {owners[name][0].lower() for name in names - {"rankloop"} - sys.stdlib_module_names}
