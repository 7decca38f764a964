"""Learning curves of campaigns over several seeds: selection by certainty against random.

    python tests/benchmarks/learning_curves.py STORAGE --labels "HaarPSI, a stand-in for opinion"

Reads all campaigns in STORAGE (of jobs/active_learning.py, one per seed and strategy; see
stand_in_opinions.py for data), prints mean and standard deviation over seeds by number of labelled
items, and for each point of a strategy the labels that random selection needs for as much. The
figures, with one standard deviation shaded, go to STORAGE/learning_curve_METRIC.png.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np

from rankloop.active.campaign import open_campaign
from rankloop.active.view import curve
from rankloop.plots.learning_curve import learning_curve
from rankloop.plots.style import COLORS
from rankloop.storage import open_folder

METRICS = ("plcc", "srocc")
# Strategy to seed to (share of items that are labelled, metrics of the test split), by cycle.
Curves = dict[str, dict[int, list[tuple[float, dict[str, float]]]]]


def read_curves(storage: str) -> Curves:
    """Return the curves of all campaigns in a storage."""
    parent = open_folder(storage) / "active_learning"
    found: Curves = defaultdict(dict)
    for name in parent.names():
        campaign = open_campaign(parent / name)
        points = [(entry["share"], entry["metrics"]["test"]) for entry in curve(campaign)]
        found[campaign.plan.strategy][campaign.plan.seed] = points
    return found


def common_part(curves: Curves, metric: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return shares (c,) and values (seeds, c) by strategy, of the seeds that all of them have."""
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in curves.values())))
    cycles = min(len(by_seed[seed]) for by_seed in curves.values() for seed in seeds)
    result = {}
    for strategy, by_seed in sorted(curves.items()):
        shares = np.mean([[share for share, _ in by_seed[s][:cycles]] for s in seeds], axis=0)
        values = np.array([[found[metric] for _, found in by_seed[s][:cycles]] for s in seeds])
        result[strategy] = (shares, values)
    return result


def needed(shares: np.ndarray, means: np.ndarray, value: float) -> str:
    """Return the share at which a curve first reaches a value, linear between its points."""
    reached = np.flatnonzero(means >= value)
    if not reached.size:
        return "more than all"
    last = int(reached[0])
    if last == 0:
        return f"{100 * shares[0]:.0f} %"
    part = (value - means[last - 1]) / (means[last] - means[last - 1])
    return f"{100 * (shares[last - 1] + part * (shares[last] - shares[last - 1])):.0f} %"


def main() -> None:
    """Print the tables and draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("storage")
    parser.add_argument("--labels", default="human")
    options = parser.parse_args()
    curves = read_curves(options.storage)
    for metric in METRICS:
        of_each = common_part(curves, metric)
        seeds = len(next(iter(of_each.values()))[1])
        print(f"test {metric.upper()}, {seeds} seeds, mean ± standard deviation")
        base = of_each["random"]
        for strategy, (shares, values) in of_each.items():
            for i, share in enumerate(shares):
                mean, spread = values[:, i].mean(), values[:, i].std(ddof=1) if seeds > 1 else 0.0
                line = f"{strategy:10} {100 * share:4.0f} %  {mean:.4f} ± {spread:.4f}"
                if strategy != "random":
                    ahead = int((values[:, i] > base[1][:, i]).sum())
                    random = needed(base[0], base[1].mean(axis=0), mean)
                    line += f"  random needs {random:>13}, ahead in {ahead} of {seeds} seeds"
                print(line)
        points = {
            name: list(zip(shares, values.mean(axis=0), strict=True))
            for name, (shares, values) in of_each.items()
        }
        title = f"{seeds} seeds, labels: {options.labels}"
        figure = learning_curve(points, metric=f"test {metric.upper()}", title=title)
        for (shares, values), color in zip(of_each.values(), COLORS, strict=False):
            mean, spread = values.mean(axis=0), values.std(axis=0)
            figure.axes[0].fill_between(
                100 * shares, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0
            )
        figure.savefig(Path(options.storage) / f"learning_curve_{metric}.png", dpi=120)


if __name__ == "__main__":
    main()
