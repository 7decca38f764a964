"""What QCN keeps for scoring, against one image after the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelled_shapes import SCORES, load
from rankloop.errors import DataError, ImageError
from rankloop.images import resize_short_side
from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_scoring import auxiliary_features
from rankloop.randomness import derived_seed
from small_qcn import built_model, make, network_image, one_thread

__all__ = ["make", "one_thread"]


def test_auxiliary_images_are_one_of_each_interval_and_their_features_are_kept(make, shapes):
    config = make()
    model = built_model(config, shapes)
    found = auxiliary_features(model, config, shapes, seed=3)
    assert found.shape == (3, 16)
    model.eval()
    with torch.no_grad():
        every = [
            model.encoder(
                torch.from_numpy(resize_short_side(load(i), 32, 64)).permute(2, 0, 1)[None]
            )
            for i in range(12)
        ]
    rows = [
        next(i for i, one in enumerate(every) if torch.allclose(one[0], feature, atol=1e-6))
        for feature in found
    ]
    assert [int(min(SCORES[row] / 100 * 3, 2)) for row in rows] == [0, 1, 2]
    assert not torch.equal(found, auxiliary_features(model, config, shapes, seed=4))
    assert torch.equal(found, auxiliary_features(model.train(), config, shapes, seed=3))
    assert model.training


def test_auxiliary_images_may_be_of_groups_of_as_many_scores(make, shapes):
    config = make(auxiliary="code")
    model = built_model(config, shapes).eval()
    drawn = set()
    with torch.no_grad():
        every = [model.encoder(network_image(load(i)))[0] for i in range(12)]
    for seed in range(12):
        for group, feature in enumerate(auxiliary_features(model, config, shapes, seed)):
            row = next(i for i, one in enumerate(every) if torch.allclose(one, feature, atol=1e-6))
            # Of twelve different scores four for each of three.
            assert row // 4 == group
            drawn.add(row)
    assert len(drawn) > 8
    with pytest.raises(DataError, match="17 groups of scores are more than the 12 different"):
        QCN.streams(make(auxiliary="code", images=18), shapes, 0)


def test_an_unreadable_auxiliary_image_is_replaced(make, shapes):
    config = make()
    model = built_model(config, shapes)
    gone = set()

    def damaged_load(row: int) -> np.ndarray:
        if row in gone:
            raise ImageError("gone")
        return load(row)

    damaged = replace(shapes, load=damaged_load)
    gone |= {0, 1, 2, 3, 5, 6, 8, 9, 10}
    assert torch.isfinite(auxiliary_features(model, config, damaged, 0)).all()
    gone.add(4)
    with pytest.raises(DataError, match="auxiliary image 0: 20 draws in a row"):
        auxiliary_features(model, config, damaged, 0)


def test_the_spread_over_draws_of_auxiliary_images_is_the_mean_deviation(make, shapes):
    config = make()
    model = built_model(config, shapes)
    QCN.prepare_scoring(model, config, shapes, 0)
    model.eval()
    before, rows = model.auxiliary.clone(), np.arange(12, 18)
    found = QCN.further_metrics(model, config, shapes, rows, 7)
    scores = []
    with torch.no_grad():
        images = [network_image(load(row)) for row in rows]
        for draw in range(20):
            seed = derived_seed(7, "draw", draw)
            model.auxiliary.copy_(auxiliary_features(model, config, shapes, seed))
            scores.append([float(model.scores(image)) for image in images])
    model.auxiliary.copy_(before)
    expected = np.std(scores, axis=0, ddof=1).mean()
    assert found == {"spread_over_auxiliary_images": pytest.approx(expected, rel=1e-3)}
    assert torch.equal(model.auxiliary, before)
    assert QCN.further_metrics(model, config, shapes, rows[:0], 7) == {}
    plain = make(objective="regression")
    assert QCN.further_metrics(built_model(plain, shapes), plain, shapes, rows, 7) == {}


def test_an_arrangement_is_each_image_in_its_group_after_every_transformer(make, shapes):
    config = make()
    model = built_model(config, shapes)
    QCN.prepare_scoring(model, config, shapes, 0)
    model.eval()
    found = QCN.arrangement(model, config, shapes, np.arange(12, 18))
    assert found is not None
    assert found.rows.tolist() == list(range(12, 18))
    np.testing.assert_allclose(found.pivot_scores, model.pivot_scores.numpy())
    images, every = [], []
    with torch.no_grad():
        for row in range(12, 18):
            group = torch.cat([model.auxiliary, model.encoder(network_image(load(row)))])[None]
            stages = model.arrangements(group)
            images.append([tokens[0, -1].numpy() for tokens, _ in stages])
            every.append([pivots[0].numpy() for _, pivots in stages])
    assert len(found.stages) == 2
    for number, (features, pivots) in enumerate(found.stages):
        expected = np.stack([image[number] for image in images])
        np.testing.assert_allclose(features, expected, atol=1e-4)
        mean = np.mean([group[number] for group in every], axis=0)
        np.testing.assert_allclose(pivots, mean, atol=1e-4)
