"""The synthetic annotator: labels for photographs that nobody has labelled.

It hides a Gaussian blur of known strength in every image and ranks the images by it. Its numbers
say how well a scorer finds that blur, not how well it agrees with people, and are named synthetic
wherever they appear.
"""

from rankloop.randomness import rng

# Standard deviation in pixels of the loaded image: uniform in [0, MAX_HIDDEN_BLUR].
MAX_HIDDEN_BLUR = 3.0
SCORE_NAME = "hidden blur strength (synthetic)"


def hidden_blur(image: str, *, seed: int) -> float:
    """Return the strength hidden in an image, which is also its score; lower is better."""
    return float(rng(seed, "hidden blur", image).uniform(0.0, MAX_HIDDEN_BLUR))


def label(better: str, worse: str, *, error_rate: float, seed: int) -> tuple[str, str]:
    """Return the annotator's (better, worse) for a pair whose true order is given.

    Each pair is wrong with probability ``error_rate``, always in the same way for the same seed.
    """
    first, second = min(better, worse), max(better, worse)
    wrong = rng(seed, "label error", first, second).random() < error_rate
    return (worse, better) if wrong else (better, worse)


def annotator_name(error_rate: float) -> str:
    """Return what Dataset.annotator says, e.g. ``"synthetic, error rate 0.05"``."""
    return f"synthetic, error rate {error_rate:g}"
