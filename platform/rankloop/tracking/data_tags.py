"""What MLflow says of the data of a run, alike for all kinds of runs."""

from rankloop.datasets.dataset import Dataset


def data_tags(dataset: Dataset) -> dict[str, str]:
    """Return the tags of a run that was trained on a dataset: ``data`` and ``annotator``."""
    return {"data": dataset.name, "annotator": dataset.annotator}
