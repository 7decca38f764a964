"""The code that MLflow runs to load a logged scorer; ``mlflow_model.log_scorer`` logs it.

It is a script for MLflow ("models from code"): running it registers the model; nothing imports it.
"""

import base64
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel

from rankloop.errors import ImageError
from rankloop.scoring.pipeline import scores_in_process
from rankloop.scoring.scorer import load_scorer


class ScorerModel(PythonModel):
    """A scorer behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Load the checkpoint that was logged with the model."""
        self._scorer = load_scorer(context.artifacts["checkpoint"])

    # MLflow warns of any other type of the input, and of none.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[float]:
        """Score images: contents of files (bytes), paths or URIs, in a frame's first column.

        Text with line breaks is a file's content in base64, as MLflow writes bytes in JSON.

        Raises:
            ImageError: one of them cannot be read; says which.
        """
        images = [_image(item) for item in model_input.iloc[:, 0]]
        found: list[float] = []
        for scores in scores_in_process(self._scorer, images):
            for score, error in scores:
                if score is None:
                    raise ImageError(f"image {len(found)} of {len(images)}: {error}")
                found.append(score)
        return found


def _image(item: bytes | str) -> bytes | str:
    return base64.b64decode(item) if isinstance(item, str) and "\n" in item else item


mlflow.models.set_model(ScorerModel())
