"""Training data whose images are decoded from their files at every use."""

from rankloop.datasets.dataset import Dataset
from rankloop.datasets.loaders import file_loader
from rankloop.methods.method import TrainingData
from rankloop.reading import reads_at_once


def file_data(dataset: Dataset, size: int | None) -> TrainingData:
    """Return a dataset with the way to its files; ``size`` is that of `Method.image_size`."""
    return TrainingData(
        dataset, file_loader(dataset, size), reads_at_once=reads_at_once(dataset.images["uri"])
    )
