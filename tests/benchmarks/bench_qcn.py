"""QCN's scoring per photo: stored auxiliary features and batches, beside the authors' way.

    python tests/benchmarks/bench_qcn.py [--backbone resnet50] [--short-side 384] [--repeats 5]

The authors' way scores one photo after the other; each of its forward passes makes the indices of
the diagonal head by head and new layer normalisations for every attention, as their code does.
Weights are random: they do not matter to the time. Prints medians, on the GPU where there is one.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import torch
from torch import nn

from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_config import QCNConfig
from rankloop.models import authors_transformer

BATCH = 64
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def authors_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    heads: int = 1,
    *,
    exclude_self: bool = False,
    normalised: bool = False,
) -> torch.Tensor:
    """`rankloop.models.attention.attention`, with masks and norms made anew in every pass."""
    groups = max(len(query), len(key))
    query, key, value = (
        tokens.expand(groups, -1, -1).unflatten(2, (heads, -1)).transpose(1, 2)
        for tokens in (query, key, value)
    )
    similarity = query @ key.transpose(2, 3)
    over = similarity.shape[2:] if exclude_self else similarity.shape[1:]
    similarity = nn.LayerNorm(list(over)).to(similarity.device)(similarity)
    if exclude_self:
        tokens = similarity.shape[2]
        for head in range(heads):
            group = torch.arange(groups).repeat_interleave(tokens).to(similarity.device)
            place = torch.arange(tokens).repeat(groups).to(similarity.device)
            similarity[group, head, place, place] = -torch.inf
    weights = similarity.float().softmax(dim=3)
    weights = torch.where(torch.isnan(weights), 0, weights)
    return (weights @ value).transpose(1, 2).flatten(2)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median of several calls, after one that does not count."""
    taken = []
    for _ in range(repeats + 1):
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        call()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])


def scoring_lines(config: QCNConfig, encoder: float, repeats: int) -> str:
    """Time the transformers and the estimate; ``encoder`` is ms per photo in a batch."""
    model = QCN.build(config, 0).to(DEVICE).eval()
    model.auxiliary.normal_()
    features = torch.randn(BATCH, model.auxiliary.shape[1], device=DEVICE)

    def one() -> object:
        return model.feature_scores(features[:1])

    alone = 1e3 * seconds(one, 4 * repeats)
    batch = 1e3 * seconds(lambda: model.feature_scores(features), repeats) / BATCH
    lines = [
        f"transformers and score, {config.layout} layout: alone {alone:.2f}, in a batch "
        f"{batch:.2f} = {batch / encoder:.1%} of the encoder (goal 5 %)"
    ]
    if config.layout == "code":
        with patch.object(authors_transformer, "attention", authors_attention):
            theirs = 1e3 * seconds(one, 4 * repeats)
        lines.append(
            f"  authors' way, one at a time: {theirs:.2f} = {theirs / batch:.1f} x a batch's "
            "(goal 10)"
        )
    return "\n".join(lines)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--short-side", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    shape = (3, options.short_side, options.short_side * 4 // 3)
    photos = torch.randint(0, 256, (BATCH, *shape), dtype=torch.uint8).to(DEVICE)
    base = {"backbone": options.backbone, "weights": "none", "short_side": options.short_side}
    print(f"{options.backbone} on {shape[1]} x {shape[2]} pixels, {DEVICE}, ms per photo")
    with torch.inference_mode():
        model = QCN.build(QCNConfig(**base), 0).to(DEVICE).eval()
        encoder_alone = 1e3 * seconds(lambda: model.encoder(photos[:1]), options.repeats)
        encoder = 1e3 * seconds(lambda: model.encoder(photos), max(1, options.repeats // 2)) / BATCH
        print(f"encoder: alone {encoder_alone:.2f}, in a batch of {BATCH} {encoder:.2f}")
        for layout, heads in (("paper", 1), ("code", 8)):
            config = QCNConfig(**base, layout=layout, heads=heads)
            print(scoring_lines(config, encoder, options.repeats))
    print("paper, RTX 3090: 6 encoder, 26 transformers and score")


if __name__ == "__main__":
    main()
