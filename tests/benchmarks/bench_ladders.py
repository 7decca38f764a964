"""Ladders per distortion beside the same levels made one by one with the best of other libraries.

    pip install albumentations albucore==0.0.24 kornia bm3d   # peers that rankloop does not need
    python tests/benchmarks/bench_ladders.py [--repeats 5] [--only gaussian_blur …]

One process, one core, one photograph of 384 x 512 pixels. Every peer makes the same four levels
(the nearest parameters that it takes) from the original, one after the other, into one array. The
floor is the best that was ever measured for such levels one by one, on a faster machine of this
kind. The authors' way is each level from scratch with NumPy, scikit-image, SciPy, Pillow and BM3D,
in float64 as in their MATLAB code; for Otsu's method, which no library has for so many classes, it
is ours with one level at a time.
"""

import argparse
import io
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from scipy import fft, ndimage
from skimage import color, filters, restoration, util

from rankloop import images
from rankloop.distortions import DISTORTIONS, RANKIQA_TID2013
from rankloop.distortions.compression import encode_jpeg_2000
from rankloop.randomness import rng

cv2.setNumThreads(1)
try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

LEVELS = (1, 2, 3, 4)
Peer = Callable[[np.ndarray, float], object]
# Images per second.
FLOOR = {
    "gaussian_noise": 251,
    "impulse_noise": 282,
    "high_frequency_noise": 27,
    # Levels of 1888, 735, 365 and 100.
    "gaussian_blur": 273,
    "denoising": 2.2,
    "jpeg": 976,
    "jpeg2000": 9.2,
    "mean_shift_brighter": 24_000,
    "mean_shift_darker": 24_000,
    "contrast_decrease": 3_500,
    "contrast_increase": 3_500,
    "saturation": 217,
    "color_quantization_dither": 4.2,
}


def _uint8(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _cv2_noise(image: np.ndarray, variance: float) -> np.ndarray:
    field = np.empty(image.shape, np.float32)
    cv2.randn(field, 0, 255 * math.sqrt(variance))
    return cv2.add(image, field, dtype=cv2.CV_8U)


def _cv2_salt_and_pepper(image: np.ndarray, density: float) -> np.ndarray:
    field = np.empty(image.shape, np.uint8)
    cv2.randu(field, 0, 256)
    made = image.copy()
    made[field < round(128 * density)] = 0
    made[field >= 256 - round(128 * density)] = 255
    return made


def _cv2_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _pil_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=max(1, quality))
    return np.asarray(Image.open(buffer))


def _pil_jpeg_2000(image: np.ndarray, ratio: float) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encode_jpeg_2000(image, [ratio]))))


def _pil_palette(image: np.ndarray, count: int) -> np.ndarray:
    photograph = Image.fromarray(image)
    palette = photograph.quantize(count, Image.Quantize.MEDIANCUT)
    return np.asarray(
        photograph.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
    )


def _cv2_lut(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    return cv2.LUT(image, np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _shift(image: np.ndarray, shift: float) -> np.ndarray:
    return cv2.add(image, (shift, shift, shift, 0))


def _cv2_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    mean = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    return cv2.addWeighted(image, factor, image, 0, mean * (1 - factor))


def _pil_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray(ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor))


def _pil_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(factor))


def _cv2_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    scale = np.array([1, factor, factor], np.float32)
    scaled = np.clip(128 + (ycc.astype(np.float32) - 128) * scale, 0, 255).astype(np.uint8)
    scaled[:, :, 0] = ycc[:, :, 0]
    return cv2.cvtColor(scaled, cv2.COLOR_YCrCb2RGB)


def _cv2_nlm(image: np.ndarray, variance: float) -> np.ndarray:
    noisy = cv2.cvtColor(_cv2_noise(image, variance), cv2.COLOR_RGB2BGR)
    strength = 0.8 * 255 * math.sqrt(variance)
    made = cv2.fastNlMeansDenoisingColored(noisy, None, strength, strength, 7, 21)
    return cv2.cvtColor(made, cv2.COLOR_BGR2RGB)


def _bm3d(image: np.ndarray, variance: float) -> np.ndarray:
    import bm3d

    noisy = util.random_noise(util.random_noise(image, var=variance), var=25 / 255)
    return _uint8(bm3d.bm3d_rgb(noisy, 25 / 255))


def _skimage_nlm(image: np.ndarray, variance: float) -> np.ndarray:
    noisy = util.random_noise(image, var=variance)
    sigma = math.sqrt(variance)
    return _uint8(
        restoration.denoise_nl_means(
            noisy, 7, 10, 0.8 * sigma, fast_mode=True, sigma=sigma, channel_axis=2
        )
    )


PEERS: dict[str, dict[str, Peer]] = {
    "gaussian_noise": {
        "scikit-image": lambda x, v: _uint8(util.random_noise(x, var=v)),
        "OpenCV": _cv2_noise,
    },
    "impulse_noise": {
        "scikit-image": lambda x, d: _uint8(util.random_noise(x, "s&p", amount=d)),
        "OpenCV": _cv2_salt_and_pepper,
    },
    "multiplicative_noise": {
        "scikit-image": lambda x, v: _uint8(util.random_noise(x, "speckle", var=v)),
    },
    "quantization_noise": {
        "OpenCV": lambda x, s: _cv2_lut(x, s * np.rint(np.arange(256) / s)),
    },
    "gaussian_blur": {
        "scikit-image": lambda x, s: _uint8(filters.gaussian(x, s, channel_axis=2)),
        "Pillow": lambda x, s: np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(s))),
        "OpenCV": lambda x, s: cv2.GaussianBlur(x, (0, 0), s),
    },
    "denoising": {"OpenCV": _cv2_nlm, "scikit-image": _skimage_nlm},
    "jpeg": {"OpenCV": _cv2_jpeg, "Pillow": _pil_jpeg},
    "jpeg2000": {"Pillow": _pil_jpeg_2000},
    "mean_shift_brighter": {"OpenCV": _shift},
    "mean_shift_darker": {"OpenCV": _shift},
    "contrast_decrease": {"OpenCV": _cv2_contrast, "Pillow": _pil_contrast},
    "contrast_increase": {"OpenCV": _cv2_contrast, "Pillow": _pil_contrast},
    "saturation": {"OpenCV": _cv2_saturation, "Pillow": _pil_saturation},
    "color_quantization_dither": {"Pillow": _pil_palette},
}


def _add_albumentations() -> None:
    try:
        import albumentations as a
    except ImportError:
        print("albumentations is not installed: left out")
        return

    def run(make: Callable[[float], object]) -> Peer:
        return lambda image, parameter: make(parameter)(image=image)["image"]  # type: ignore[operator]

    def fixed(value: float) -> tuple[float, float]:
        return value, value

    PEERS["gaussian_noise"]["albumentations"] = run(
        lambda v: a.GaussNoise(std_range=fixed(math.sqrt(v)), p=1)
    )
    PEERS["impulse_noise"]["albumentations"] = run(
        lambda d: a.SaltAndPepper(amount=fixed(d), salt_vs_pepper=(0.5, 0.5), p=1)
    )
    PEERS["gaussian_blur"]["albumentations"] = run(
        lambda s: a.GaussianBlur(blur_limit=0, sigma_limit=fixed(s), p=1)
    )
    PEERS["jpeg"]["albumentations"] = run(
        lambda q: a.ImageCompression(quality_range=(max(1, int(q)),) * 2, p=1)
    )
    for name in ("mean_shift_brighter", "mean_shift_darker"):
        PEERS[name]["albumentations"] = run(
            lambda s: a.RandomBrightnessContrast(fixed(s / 255), (0, 0), p=1)
        )
    for name in ("contrast_decrease", "contrast_increase"):
        PEERS[name]["albumentations"] = run(
            lambda f: a.ColorJitter((1, 1), fixed(f), (1, 1), (0, 0), p=1)
        )
    PEERS["multiplicative_noise"]["albumentations"] = run(
        lambda v: a.MultiplicativeNoise(
            (1 - math.sqrt(v), 1 + math.sqrt(v)), per_channel=True, elementwise=True, p=1
        )
    )


def _add_kornia() -> None:
    try:
        import kornia
    except ImportError:
        print("kornia is not installed: left out")
        return

    def run(make: Callable[[object, float], object]) -> Peer:
        def peer(image: np.ndarray, parameter: float) -> object:
            tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().div_(255)
            made = make(tensor, parameter)
            return made[0].mul(255).round_().clamp_(0, 255).byte().permute(1, 2, 0).numpy()  # type: ignore[index]

        return peer

    def blur(tensor: object, sigma: float) -> object:
        size = 2 * math.ceil(4 * sigma) + 1
        return kornia.filters.gaussian_blur2d(tensor, (size, size), (sigma, sigma))

    PEERS["gaussian_blur"]["kornia"] = run(blur)
    PEERS["gaussian_noise"]["kornia"] = run(lambda t, v: t + math.sqrt(v) * torch.randn_like(t))
    for name in ("mean_shift_brighter", "mean_shift_darker"):
        PEERS[name]["kornia"] = run(
            lambda t, s: kornia.enhance.adjust_brightness(t, torch.tensor(s / 255))
        )
    for name in ("contrast_decrease", "contrast_increase"):
        PEERS[name]["kornia"] = run(kornia.enhance.adjust_contrast_with_mean_subtraction)
    PEERS["saturation"]["kornia"] = run(
        lambda t, f: kornia.enhance.adjust_saturation_with_gray_subtraction(t, f)
    )


def _authors(name: str) -> Callable[[np.ndarray, float], object]:
    """Each level from scratch, in float64, as the authors' MATLAB code does it."""

    generator = rng(0, "the authors' way")

    def high_frequency(image: np.ndarray, variance: float) -> np.ndarray:
        rows = np.square(np.arange(image.shape[0]) - image.shape[0] / 2)
        columns = np.square(np.arange(image.shape[1]) - image.shape[1] / 2)
        weight = 1 - np.exp(-(rows[:, None] + columns) / 200)
        spectrum = fft.fft2(image.astype(float), axes=(0, 1)) * weight[:, :, None]
        filtered = np.clip(fft.ifft2(spectrum, axes=(0, 1)).real / 255, 0, 1)
        return _uint8(util.random_noise(filtered, var=variance))

    def color_noise(image: np.ndarray, variance: float) -> np.ndarray:
        ycc = color.rgb2ycbcr(image) / 255
        return _uint8(np.clip(color.ycbcr2rgb(255 * util.random_noise(ycc, var=variance)), 0, 1))

    def saturation(image: np.ndarray, factor: float) -> np.ndarray:
        ycc = color.rgb2ycbcr(image)
        ycc[:, :, 1:] = 128 + (ycc[:, :, 1:] - 128) * factor
        return _uint8(np.clip(color.ycbcr2rgb(ycc), 0, 1))

    def blur(image: np.ndarray, sigma: float) -> np.ndarray:
        # imfilter finds that the kernel is separable, as here.
        size = 2 * math.ceil(3 * sigma) + 1
        line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
        made = image.astype(float)
        for number in (0, 1):
            made = ndimage.convolve1d(made, line / line.sum(), axis=number, mode="reflect")
        return _uint8(made / 255)

    def otsu(image: np.ndarray, step: float) -> np.ndarray:
        distortion = DISTORTIONS["quantization_noise_authors"]
        return distortion.ladder(image, rng(0), [distortion.parameters.index(step) + 1])[0]

    def patches(image: np.ndarray, count: int) -> np.ndarray:
        made = image.copy()
        for _ in range(count):
            top, left = generator.integers(5, [image.shape[0] - 20, image.shape[1] - 20])
            patch = image[top : top + 15, left : left + 15]
            made[top + 5 : top + 20, left + 5 : left + 20] = patch
        return made

    def blocks(image: np.ndarray, count: int) -> np.ndarray:
        made, mean = image.copy(), image.mean(axis=(0, 1))
        for _ in range(count):
            top, left = generator.integers(0, [image.shape[0] - 32, image.shape[1] - 32])
            made[top : top + 32, left : left + 32] = mean
        return made

    def aberration(image: np.ndarray, shifts: tuple[int, int]) -> np.ndarray:
        made = image.copy()
        for channel, shift in zip((0, 2), shifts, strict=True):
            made[:, :, channel] = np.roll(image[:, :, channel], shift, axis=1)
        return ndimage.gaussian_filter(made, (0.5, 0.5, 0))

    ways: dict[str, Callable[[np.ndarray, float], object]] = {
        "gaussian_noise": PEERS["gaussian_noise"]["scikit-image"],
        "color_noise": color_noise,
        "high_frequency_noise": high_frequency,
        "impulse_noise": PEERS["impulse_noise"]["scikit-image"],
        "quantization_noise": otsu,
        "gaussian_blur": blur,
        "denoising": _bm3d,
        "jpeg": _pil_jpeg,
        "jpeg2000": _pil_jpeg_2000,
        "mean_shift_brighter": lambda x, s: _uint8((x.astype(float) + s) / 255),
        "mean_shift_darker": lambda x, s: _uint8((x.astype(float) + s) / 255),
        "contrast_decrease": lambda x, f: _uint8(x.astype(float) * f / 255),
        "contrast_increase": lambda x, f: _uint8(x.astype(float) * f / 255),
        "saturation": saturation,
        "multiplicative_noise": PEERS["multiplicative_noise"]["scikit-image"],
        "color_quantization_dither": _pil_palette,
        "non_eccentricity_pattern_noise": patches,
        "local_blocks": blocks,
        "chromatic_aberration": aberration,
    }
    return ways[name]


def _seconds(run: Callable[[], object], repeats: int) -> list[float]:
    run()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


def _levels(name: str, image: np.ndarray, peer: Peer) -> Callable[[], object]:
    parameters = DISTORTIONS[name].parameters[:4]
    # One array, as a ladder is.
    return lambda: np.stack([np.asarray(peer(image, parameter)) for parameter in parameters])


def measure(name: str, image: np.ndarray, repeats: int) -> tuple[float, Mapping[str, float]]:
    """Median seconds of our ladder of four levels, and of each peer, taking turns."""
    ours: list[float] = []
    theirs: dict[str, list[float]] = {peer: [] for peer in PEERS.get(name, {})}
    ladder = DISTORTIONS[name].ladder
    for number in range(repeats):
        ours += _seconds(lambda number=number: ladder(image, rng(number), LEVELS), 1)
        for label, peer in PEERS.get(name, {}).items():
            theirs[label] += _seconds(_levels(name, image, peer), 1)
    return statistics.median(ours), {k: statistics.median(v) for k, v in theirs.items()}


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    _add_albumentations()
    _add_kornia()
    photograph = images.decode(images.read_bytes("package:skimage/data/coffee.png"))
    image = np.ascontiguousarray(photograph[:384, :512])
    skipped = {"denoising_bm3d", "denoising_authors"}
    names = options.only or [name for name in DISTORTIONS if name not in skipped]
    print(
        f"{'distortion':32}{'ours img/s':>12}{'best peer':>24}{'img/s':>10}{'ratio':>8}{'floor':>8}"
    )
    ratios = []
    for name in names:
        ours, theirs = measure(name, image, options.repeats)
        speed = len(LEVELS) / ours
        if not theirs:
            print(f"{name:32}{speed:12.0f}{'none':>24}{'':18}{FLOOR.get(name, ''):>8}")
            continue
        best = min(theirs, key=lambda peer: theirs[peer])
        ratios.append(theirs[best] / ours)
        print(
            f"{name:32}{speed:12.1f}{best:>24}{len(LEVELS) / theirs[best]:10.1f}{ratios[-1]:8.2f}"
            f"{FLOOR.get(name, ''):>8}"
        )
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"geometric mean over {len(ratios)}: {mean:.2f} (goal 2), least {min(ratios):.2f}")
    if options.only:
        return
    ours_all = theirs_all = 0.0
    for name in RANKIQA_TID2013:
        ladder, way = DISTORTIONS[name].ladder, _authors(name)
        ours_all += statistics.median(
            _seconds(lambda ladder=ladder: ladder(image, rng(0), (0, *LEVELS)), 3)
        )
        theirs_all += statistics.median(_seconds(_levels(name, image, way), 3))
    print(
        f"the authors' 17 types, levels 0 to 4: {ours_all:.2f} s against {theirs_all:.2f} s one by "
        f"one: {theirs_all / ours_all:.1f} (goal 5)"
    )


if __name__ == "__main__":
    main()
