import numpy as np
from PIL import Image

from rankloop.datasets.opening import open_dataset
from rankloop.filesystems import open_uri
from rankloop.methods.file_data import file_data
from rankloop.reading import REMOTE_READS


def test_images_of_a_bucket_are_read_at_once_and_those_of_a_disk_one_by_one(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for number in range(24):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    filesystem, path = open_uri("memory://rankloop-file-data")
    filesystem.create_dir(path)
    for file in tmp_path.iterdir():
        with filesystem.open_output_stream(f"{path}/{file.name}") as stream:
            stream.write(file.read_bytes())
    for folder, expected in ((str(tmp_path), 1), ("memory://rankloop-file-data", REMOTE_READS)):
        data = file_data(open_dataset([f"folder:{folder}"], seed=0), 20)
        assert data.reads_at_once == expected
        assert data.load(0).shape == (20, 20, 3)
