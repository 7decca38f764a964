import numpy as np
import pytest
import torch

from rankloop.errors import DataError
from rankloop.models.score_scale import ScoreScale


def test_scale_is_the_labels_mean_and_deviation():
    labels = np.random.default_rng(0).uniform(0, 9, 50)
    scale = ScoreScale()
    scale.set(torch.from_numpy(labels))
    outputs = torch.tensor([-1.0, 0.0, 2.5], dtype=torch.float64)
    expected = labels.mean() + labels.std() * outputs.numpy()
    np.testing.assert_allclose(scale(outputs), expected, rtol=1e-12)
    torch.testing.assert_close(scale.standardised(scale(outputs)), outputs)
    assert scale(outputs.float()).dtype == torch.float32


def test_it_is_the_identity_until_it_is_set():
    outputs = torch.tensor([-1.0, 3.0])
    assert torch.equal(ScoreScale()(outputs), outputs)


def test_it_travels_with_the_model():
    scale = ScoreScale()
    scale.set(torch.tensor([1.0, 5.0]))
    again = ScoreScale()
    again.load_state_dict(scale.state_dict())
    assert again(torch.zeros(1)) == 3.0


@pytest.mark.parametrize("labels", [[], [4.0], [2.0, 2.0], [float("nan"), 1.0]])
def test_labels_that_are_all_equal_are_refused(labels):
    with pytest.raises(DataError, match="training labels are all equal"):
        ScoreScale().set(torch.tensor(labels))
