"""Scorers as MLflow models: ``mlflow.pyfunc.load_model(uri).predict(images)``.

A model is logged as code, our checkpoint and the package: nothing is pickled, so that it also loads
with ``MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false`` and where rankloop is not installed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import DataType
from mlflow.types.schema import AnyType, ColSpec, Schema

import rankloop
from rankloop.scoring.scorer import checkpoint_digest, find_checkpoint

# Distributions that a loaded model imports, besides mlflow itself; a test compares.
REQUIREMENTS = (
    "annotated-types",
    "fsspec",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scipy",
    "tenacity",
    "torch",
    "torchvision",
)
_DIGEST_TAG = "rankloop.checkpoint"


def log_scorer(
    tracking_uri: str,
    run_id: str,
    checkpoint: Path,
    example: bytes,
    *,
    name: str = "model",
    registered: str | None = None,
) -> str:
    """Log a scorer to a run, unless the same is there already, and return the model's URI.

    The model's ``predict`` takes images, as a list or as the first column of a DataFrame, and
    returns their scores. An image is the content of a file (bytes), its path or its URI.

    Args:
        tracking_uri: the MLflow store or server.
        run_id: the run that the model belongs to.
        checkpoint: local checkpoint folder.
        example: content of an image file, which becomes the model's input example.
        name: the model's name within the run.
        registered: name of a registered model whose newest version it becomes, with the alias
            ``best``.

    Raises:
        CheckpointError: the checkpoint is not whole.
    """
    tags = {_DIGEST_TAG: checkpoint_digest(find_checkpoint(str(checkpoint)))}
    client = mlflow.MlflowClient(tracking_uri)
    run = client.get_run(run_id)
    for output in run.outputs.model_outputs if run.outputs else []:
        logged = client.get_logged_model(output.model_id)
        if logged.name == name and logged.tags.items() >= tags.items() and _whole(logged):
            _register(client, registered, run_id, logged.model_id)
            return str(logged.model_uri)
    # Model.log would create it in the process's current experiment, not in the run's.
    created = client.create_logged_model(
        run.info.experiment_id, name, source_run_id=run_id, tags=tags
    )
    with _tracking_uri(tracking_uri):
        info = Model.log(
            artifact_path=None,
            name=name,
            model_id=created.model_id,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            python_model=str(Path(__file__).with_name("mlflow_model_code.py")),
            artifacts={"checkpoint": str(checkpoint)},
            code_paths=[str(Path(rankloop.__file__).parent)],
            # Bytes or text: MLflow has no narrower type for that. Of one column without a name, so
            # that lists are taken too, and frames whatever their column is called.
            signature=ModelSignature(
                inputs=Schema([ColSpec(AnyType())]), outputs=Schema([ColSpec(DataType.double)])
            ),
            input_example=[example],
            pip_requirements=[
                f"{package}=={version(package).partition('+')[0]}"
                for package in ("mlflow", *REQUIREMENTS)
            ],
        )
    _register(client, registered, run_id, created.model_id)
    return str(info.model_uri)


def _register(
    client: mlflow.MlflowClient, registered: str | None, run_id: str, model_id: str
) -> None:
    if registered is None:
        return
    # A driver killed between logging and registering has left the alias where it was.
    versions = client.search_model_versions(f"name = '{registered}' and run_id = '{run_id}'")
    source = f"models:/{model_id}"
    known = [version for version in versions if version.source == source]
    if not known:
        with suppress(MlflowException):
            # Another version may have made it before.
            client.create_registered_model(registered)
        # MLflow looks for the model in the process's current store.
        with _tracking_uri(client.tracking_uri):
            known = [client.create_model_version(registered, source, run_id, model_id=model_id)]
    every = client.search_model_versions(f"name = '{registered}'")
    # A sweep that ended before others, run again, does not take the alias back.
    if int(known[0].version) == max(int(version.version) for version in every):
        client.set_registered_model_alias(registered, "best", known[0].version)


def _whole(logged: mlflow.entities.LoggedModel) -> bool:
    return bool(logged.status == mlflow.entities.LoggedModelStatus.READY)


@contextmanager
def _tracking_uri(uri: str) -> Iterator[None]:
    # MLflow logs models only to the process's current store.
    # It also sets the environment variable, which is the user's to set.
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
