import numpy as np

from rankloop.datasets.annotator import annotator_name, hidden_blur, label


def test_hidden_blur_is_uniform_and_depends_on_image_and_seed_only() -> None:
    strengths = np.array([hidden_blur(f"image {i}", seed=0) for i in range(2000)])
    assert strengths.min() >= 0
    assert strengths.max() <= 3
    assert np.abs(np.histogram(strengths, 6, (0, 3))[0] - 2000 / 6).max() < 80
    assert hidden_blur("image 7", seed=0) == strengths[7] != hidden_blur("image 7", seed=1)


def test_labels_are_wrong_at_the_stated_rate_and_never_at_zero() -> None:
    pairs = [(f"a{i}", f"b{i}") for i in range(4000)]
    wrong = [label(*pair, error_rate=0.05, seed=0) != pair for pair in pairs]
    assert 150 < sum(wrong) < 250
    assert all(label(*pair, error_rate=0.0, seed=0) == pair for pair in pairs)
    # The same pair is wrong again, whichever image is named first.
    for (a, b), is_wrong in zip(pairs[:200], wrong[:200], strict=True):
        assert label(b, a, error_rate=0.05, seed=0) == ((a, b) if is_wrong else (b, a))


def test_the_name_states_the_rate() -> None:
    assert annotator_name(0.05) == "synthetic, error rate 0.05"
