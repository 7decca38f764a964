"""The levels of our ladders, one by one, by other libraries."""

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import cv2
import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from skimage import filters, restoration, util

from rankloop.distortions.compression import encode_jpeg_2000

Peer = Callable[[np.ndarray, float], object]


def to_uint8(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _cv2_noise(image: np.ndarray, variance: float) -> np.ndarray:
    field = np.empty(image.shape, np.float32)
    cv2.randn(field, 0, 255 * math.sqrt(variance))
    return cv2.add(image, field, dtype=cv2.CV_8U)


def _cv2_salt_and_pepper(image: np.ndarray, density: float) -> np.ndarray:
    field = np.empty(image.shape, np.uint8)
    cv2.randu(field, 0, 256)
    # Thresholds and bitwise operations take a third of the time of boolean indexing.
    low, high = round(128 * density), 255 - round(128 * density)
    _, not_pepper = cv2.threshold(field, low - 1, 255, cv2.THRESH_BINARY)
    _, salt = cv2.threshold(field, high, 255, cv2.THRESH_BINARY)
    return cv2.bitwise_or(cv2.bitwise_and(image, not_pepper), salt)


def _cv2_speckle(image: np.ndarray, variance: float) -> np.ndarray:
    field = np.empty(image.shape, np.float32)
    cv2.randn(field, 1, math.sqrt(variance))
    return cv2.multiply(image, field, dtype=cv2.CV_8U)


def _cv2_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def pil_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=max(1, quality))
    return np.asarray(Image.open(buffer))


def pil_jpeg_2000(image: np.ndarray, ratio: float) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encode_jpeg_2000(image, [ratio]))))


def pil_palette(image: np.ndarray, count: int) -> np.ndarray:
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


def pil_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray(ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor))


def pil_saturation(image: np.ndarray, factor: float) -> np.ndarray:
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


def _skimage_nlm(image: np.ndarray, variance: float) -> np.ndarray:
    noisy = util.random_noise(image, var=variance)
    sigma = math.sqrt(variance)
    return to_uint8(
        restoration.denoise_nl_means(
            noisy, 7, 10, 0.8 * sigma, fast_mode=True, sigma=sigma, channel_axis=2
        )
    )


PEERS: dict[str, dict[str, Peer]] = {
    "gaussian_noise": {
        "scikit-image": lambda x, v: to_uint8(util.random_noise(x, var=v)),
        "OpenCV": _cv2_noise,
    },
    "impulse_noise": {
        "scikit-image": lambda x, d: to_uint8(util.random_noise(x, "s&p", amount=d)),
        "OpenCV": _cv2_salt_and_pepper,
    },
    "multiplicative_noise": {
        "scikit-image": lambda x, v: to_uint8(util.random_noise(x, "speckle", var=v)),
        "OpenCV": _cv2_speckle,
    },
    "quantization_noise": {
        "OpenCV": lambda x, s: _cv2_lut(x, s * np.rint(np.arange(256) / s)),
    },
    "gaussian_blur": {
        "scikit-image": lambda x, s: to_uint8(filters.gaussian(x, s, channel_axis=2)),
        "Pillow": lambda x, s: np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(s))),
        "OpenCV": lambda x, s: cv2.GaussianBlur(x, (0, 0), s),
    },
    "denoising": {"OpenCV": _cv2_nlm, "scikit-image": _skimage_nlm},
    "jpeg": {"OpenCV": _cv2_jpeg, "Pillow": pil_jpeg},
    "jpeg2000": {"Pillow": pil_jpeg_2000},
    "mean_shift_brighter": {"OpenCV": _shift},
    "mean_shift_darker": {"OpenCV": _shift},
    "contrast_decrease": {"OpenCV": _cv2_contrast, "Pillow": pil_contrast},
    "contrast_increase": {"OpenCV": _cv2_contrast, "Pillow": pil_contrast},
    "saturation": {"OpenCV": _cv2_saturation, "Pillow": pil_saturation},
    "color_quantization_dither": {"Pillow": pil_palette},
}


def add_albumentations() -> None:
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


def add_kornia() -> None:
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
