"""GOL's network: unit vectors and their nearest neighbours."""

import numpy as np
import torch
from sklearn.neighbors import KNeighborsRegressor

from rankloop.models.gol import GOLNetwork, build_gol


def _built(seed: int = 0) -> GOLNetwork:
    model = build_gol(
        "resnet18", weights="none", channels=8, references=6, frozen_statistics=True, seed=seed
    )
    return model.eval()


def _images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 40, 36), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def test_images_and_references_are_on_the_unit_sphere():
    embedding, references = _built()(_images(5))
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(references.norm(dim=1), torch.ones(6))


@torch.no_grad()
def test_scores_are_those_of_the_nearest_neighbours():
    model, known = _built(), _images(30)
    labels = torch.linspace(0, 10, 30)[torch.randperm(30, generator=torch.Generator())]
    model.remember(model.embedding(known), labels)
    model.k.fill_(4)
    embedding = model.embedding(_images(7)).double().numpy()
    slow = KNeighborsRegressor(4).fit(model.neighbours.double().numpy(), labels.double().numpy())
    found = model.scores(_images(7))
    np.testing.assert_allclose(found.numpy(), slow.predict(embedding), atol=1e-9)
    alone = torch.cat([model.scores(image[None]) for image in _images(7)])
    torch.testing.assert_close(alone, found, rtol=0, atol=1e-5)
    # More neighbours than there are mean all of them.
    model.k.fill_(100)
    torch.testing.assert_close(model.scores(_images(2)), labels.double().mean().expand(2))


@torch.no_grad()
def test_neighbours_are_saved_whatever_their_number():
    model, other = _built(), _built(seed=1)
    model.remember(model.embedding(_images(9)), torch.arange(9.0))
    model.k.fill_(3)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.scores(_images(4)), model.scores(_images(4)))
