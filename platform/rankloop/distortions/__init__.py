"""Distortions h(x, φ) of images, by name, and which of them each data set has."""

from rankloop.distortions.block_dct import BLOCK_DCTS
from rankloop.distortions.chromatic_aberration import CHROMATIC_ABERRATIONS
from rankloop.distortions.compression import COMPRESSIONS
from rankloop.distortions.denoising import DENOISINGS
from rankloop.distortions.distortion import Distortion
from rankloop.distortions.gaussian_blur import GAUSSIAN_BLURS
from rankloop.distortions.local import LOCAL
from rankloop.distortions.noise import NOISES
from rankloop.distortions.quantization import QUANTIZATIONS
from rankloop.distortions.sparse_sampling import SPARSE_SAMPLINGS
from rankloop.distortions.tone import TONES
from rankloop.distortions.transmission import TRANSMISSIONS

DISTORTIONS: dict[str, Distortion] = {
    distortion.name: distortion
    for family in (
        NOISES,
        TONES,
        LOCAL,
        CHROMATIC_ABERRATIONS,
        QUANTIZATIONS,
        GAUSSIAN_BLURS,
        COMPRESSIONS,
        BLOCK_DCTS,
        DENOISINGS,
        TRANSMISSIONS,
        SPARSE_SAMPLINGS,
    )
    for distortion in family
}

TID2013: dict[int, tuple[str, ...]] = {
    1: ("gaussian_noise",),
    2: ("color_noise",),
    3: ("correlated_noise",),
    4: ("masked_noise",),
    5: ("high_frequency_noise",),
    6: ("impulse_noise",),
    7: ("quantization_noise",),
    8: ("gaussian_blur",),
    9: ("denoising",),
    10: ("jpeg",),
    11: ("jpeg2000",),
    12: ("jpeg_transmission_errors",),
    13: ("jpeg2000_transmission_errors",),
    14: ("non_eccentricity_pattern_noise",),
    15: ("local_blocks",),
    16: ("mean_shift_brighter", "mean_shift_darker"),
    17: ("contrast_decrease", "contrast_increase"),
    18: ("saturation",),
    19: ("multiplicative_noise",),
    20: ("comfort_noise",),
    21: ("noisy_compression",),
    22: ("color_quantization_dither",),
    23: ("chromatic_aberration",),
    24: ("sparse_sampling",),
}
"""Number of the type in TID2013 to its distortions. Levels 0 to 4 are RankIQA's of the 17 types in
RANKIQA_TID2013; of the other seven, levels 0 to 5 are the data set's."""

RANKIQA_TID2013: tuple[str, ...] = tuple(
    name
    for number, names in TID2013.items()
    if number not in {3, 4, 12, 13, 20, 21, 24}
    for name in names
)
"""The 17 types of TID2013 that RankIQA's authors generated (19 ladders, in two directions each
for #16 and #17)."""

LIVE: tuple[str, ...] = ("gaussian_blur", "gaussian_noise_live", "jpeg", "jpeg2000", "fast_fading")
"""The five types of LIVE; its ladders have levels 0 to 5."""

MLIVE: dict[str, tuple[str, str]] = {
    "blur_x_jpeg": ("gaussian_blur", "jpeg"),
    "blur_x_noise": ("gaussian_blur", "gaussian_noise_live"),
}
"""The two crossed sets of MLIVE: the first distortion, then the second, levels 1 to 3 of each."""
