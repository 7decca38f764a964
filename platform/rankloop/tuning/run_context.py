"""What all runs of a sweep or a comparison share."""

from dataclasses import dataclass
from typing import Any

from rankloop.datasets.dataset import Split
from rankloop.methods.configuration import make_config
from rankloop.methods.method import TrainingData
from rankloop.storage import Folder
from rankloop.training.loop import Schedule


@dataclass(frozen=True)
class RunContext:
    """What all runs of a sweep or a comparison share.

    Attributes:
        method: name of the method.
        base: configuration that every run's values are laid over.
        data: images and labels, shared by all runs of a node.
        folder: result folder; a run's own is ``folder/runs/<name>``.
        schedule: when runs evaluate and save.
        metric: validation metric that is reported, `turned`, as the run's value.
        gpus: GPUs per run.
        data_workers: Ray Data tasks per stream that make a run's rows; 0 makes them in the run's
            own process.
        splits: what finished runs are evaluated on.
    """

    method: str
    base: Any
    data: TrainingData
    folder: Folder
    schedule: Schedule
    metric: str
    gpus: float = 0.0
    data_workers: int = 0
    splits: tuple[Split, ...] = ("validation",)

    def run_folder(self, name: str) -> Folder:
        """Folder of one run."""
        return self.folder / "runs" / name

    def run_config(self, values: dict[str, Any]) -> Any:
        """Resolved configuration of a run."""
        return make_config(type(self.base), {**self.base.model_dump(), **values})
