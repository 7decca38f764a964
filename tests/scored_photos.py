"""Small photographs with opinion scores, for rooms and jobs that learn quality."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_scored_photos(folder: Path) -> Path:
    """Write forty photographs with a MOS, and ten without; the noisier, the lower the MOS."""
    lines = ["image,score"]
    for i in range(50):
        generator = np.random.default_rng(i)
        small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), np.uint8))
        pixels = np.asarray(small.resize((80, 60)), np.float64)
        noise = generator.normal(0, 3 + 8 * (i % 10), pixels.shape)
        noisy = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
        noisy.save(folder / f"{i:02d}.png")
        if i < 40:
            lines.append(f"{i:02d}.png,{9 - i % 10}")
    (folder / "scores.csv").write_text("\n".join(lines))
    return folder
