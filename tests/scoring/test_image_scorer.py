import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rankloop.errors import CheckpointError, ImageError
from rankloop.images import center_square, decode, resize
from rankloop.scoring.scorer import (
    checkpoint_digest,
    find_checkpoint,
    load_scorer,
)
from rankloop.storage import Folder, open_folder

SIZE = 48
Save = Callable[..., Folder]


def _images(n: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (n, SIZE, SIZE, 3), np.uint8)


def _cut_in_half(folder: Folder, name: str = "model.safetensors") -> None:
    path = Path(folder.path) / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_scores_are_those_of_the_saved_model(tmp_path: Path, save_scorer: Save) -> None:
    scorer = load_scorer(save_scorer(tmp_path, seed=3))
    reference = scorer.method.build(scorer.config, 3).eval()
    arrays = _images(5)
    with torch.no_grad():
        expected = [float(reference(torch.tensor(a).permute(2, 0, 1)[None])[0]) for a in arrays]
    scores = scorer.score_arrays(arrays)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert scorer.higher_is_better is True
    assert not scorer.model.training


@pytest.mark.parametrize("backbone", ["shallow", "resnet18"])
def test_scores_do_not_depend_on_company(tmp_path: Path, save_scorer: Save, backbone: str) -> None:
    scorer = load_scorer(save_scorer(tmp_path, backbone=backbone))
    arrays = _images(9)
    together = scorer.score_arrays(arrays)
    assert len(set(together.tolist())) > 1
    alone = np.concatenate([scorer.score_arrays(arrays[i : i + 1]) for i in range(9)])
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(scorer.score_arrays(arrays[order]), together[order], atol=1e-5)
    np.testing.assert_array_equal(scorer.score_arrays(arrays), together)


def test_no_images_have_no_scores(checkpoint: str) -> None:
    scores = load_scorer(checkpoint).score_arrays(_images(0))
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


@pytest.mark.parametrize(
    "arrays",
    [
        np.zeros((1, SIZE, SIZE, 3), np.float32),
        np.zeros((SIZE, SIZE, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(checkpoint: str, arrays: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"an image must be uint8 \(h, w, 3\)"):
        load_scorer(checkpoint).score_arrays(arrays)


def test_an_image_by_path_or_by_content_is_its_central_square(
    checkpoint: str, photos: list[str]
) -> None:
    scorer = load_scorer(checkpoint)
    content = Path(photos[0]).read_bytes()
    by_hand = scorer.score_arrays(resize(center_square(decode(content)), SIZE)[None])[0]
    assert scorer.score_image(photos[0]) == pytest.approx(by_hand, abs=1e-6)
    assert scorer.score_image(content) == scorer.score_image(photos[0])
    assert scorer.score_image(photos[1]) != scorer.score_image(photos[0])
    with pytest.raises(ImageError):
        scorer.score_image(photos[2])


def test_a_result_gives_the_winner_and_a_run_its_newest(tmp_path: Path, save_scorer: Save) -> None:
    run = tmp_path / "run"
    for step in (9, 10):
        save_scorer(run / "checkpoints", f"step-{step:09d}", seed=step)
    assert find_checkpoint(str(run)).step == 10
    save_scorer(run, "checkpoint", seed=7)
    assert find_checkpoint(str(run)).step == 7
    assert find_checkpoint(f"file://{run}/checkpoint").step == 7
    assert find_checkpoint(open_folder(str(run / "checkpoints" / "step-000000009"))).step == 9


def test_of_a_run_the_newest_whole_checkpoint_is_taken_saying_so(
    tmp_path: Path, save_scorer: Save, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [save_scorer(tmp_path / "checkpoints", f"step-{s:09d}", seed=s) for s in (1, 2, 3)]
    _cut_in_half(folders[2])
    _cut_in_half(folders[1], "state.json")
    with caplog.at_level(logging.WARNING, "rankloop"):
        assert find_checkpoint(str(tmp_path)).step == 1
    assert "step-000000003 is damaged" in caplog.text
    assert "using the one before, step-000000001" in caplog.text
    _cut_in_half(folders[0], "config.json")
    with pytest.raises(CheckpointError, match=r"no checkpoint of .* is whole"):
        find_checkpoint(str(tmp_path))


def test_a_cut_optimizer_does_not_matter_for_scoring(tmp_path: Path, save_scorer: Save) -> None:
    folder = save_scorer(tmp_path)
    (Path(folder.path) / "optimizer.safetensors").unlink()
    assert find_checkpoint(folder).step == 0


def test_a_half_cut_checkpoint_that_was_named_is_refused(tmp_path: Path, save_scorer: Save) -> None:
    folder = save_scorer(tmp_path)
    _cut_in_half(folder)
    with pytest.raises(CheckpointError, match=r"damaged: model\.safetensors"):
        load_scorer(folder)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_checkpoint_says_what_was_looked_for(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "empty"
    if there:
        folder.mkdir()
    with pytest.raises(CheckpointError, match=r"empty: looked for state\.json, checkpoint/state"):
        load_scorer(str(folder))


def test_tensors_of_another_model_are_refused(tmp_path: Path, save_scorer: Save) -> None:
    small, large = save_scorer(tmp_path, "a"), save_scorer(tmp_path, "b", backbone="resnet18")
    for name in ("config.json",):
        shutil.copy(Path(large.path) / name, Path(small.path) / name)
    state = small.read_json("state.json")
    state["sha256"]["config.json"] = large.read_json("state.json")["sha256"]["config.json"]
    small.write_json("state.json", state)
    with pytest.raises(CheckpointError, match="does not fit the ssranking model"):
        load_scorer(small)


def test_initial_weights_are_neither_downloaded_nor_read(tmp_path: Path, save_scorer: Save) -> None:
    gone = save_scorer(tmp_path, backbone="resnet18", weights=str(tmp_path / "gone.safetensors"))
    assert load_scorer(gone).score_arrays(_images(1)).shape == (1,)


def test_digests_tell_models_and_configurations_apart(tmp_path: Path, save_scorer: Save) -> None:
    folders = [
        save_scorer(tmp_path, "a", seed=1),
        save_scorer(tmp_path, "b", seed=1),
        save_scorer(tmp_path, "c", seed=2),
        save_scorer(tmp_path, "d", seed=1, image_size=SIZE + 1),
    ]
    same, also, other, larger = (checkpoint_digest(find_checkpoint(f)) for f in folders)
    assert same == also
    assert len({same, other, larger}) == 3
