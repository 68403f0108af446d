"""Log-mel spectrograms as MusiCNN was trained on: 16 kHz, 96 bands, log10(1 + 10,000 x power).

The bands are those of librosa with its defaults: Slaney's mel scale (linear to 1 kHz, logarithmic above) from 0 Hz to
half the sample rate, triangles of equal area. Legend: P patches, S samples, T frames, K frequencies, M mel bands.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.content.encoders.musicnn import FRAMES, MEL_BANDS

SAMPLE_RATE = 16_000  # Hz
WINDOW, HOP = 512, 256  # samples
PATCH_SAMPLES = (FRAMES - 1) * HOP + WINDOW  # 3.008 s
PATCH_STRIDE = FRAMES * HOP  # from the first frame of a patch to the first frame of the next one
COMPRESSION = 10_000.0

LINEAR_HZ_PER_MEL, LINEAR_TO_HZ = 200 / 3, 1000.0
LOG_STEP = math.log(6.4) / 27  # 27 mels from 1 kHz to 6.4 kHz


def log_mel_patches(sample_PS: Tensor) -> Tensor:
    """Log-mel spectrograms [P, FRAMES, MEL_BANDS] of patches of PATCH_SAMPLES samples in [-1, 1]."""
    spectrum_PKT = torch.stft(
        sample_PS, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True
    )
    power_PKT = spectrum_PKT.real.square() + spectrum_PKT.imag.square()
    band_MK = torch.from_numpy(mel_bands())
    # Patch by patch, so that a patch is rounded in the same way in every batch.
    mel_PMT = torch.stack([band_MK @ power_KT for power_KT in power_PKT])
    return torch.log10(1 + COMPRESSION * mel_PMT).transpose(1, 2).contiguous()


def mel_bands() -> NDArray[np.float32]:
    """Weights of the frequencies in each band, [M, K]."""
    frequency_K = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    edge = _mel_to_hz(np.linspace(0, _hz_to_mel(SAMPLE_RATE / 2), MEL_BANDS + 2))
    lower_M1, centre_M1, upper_M1 = edge[:-2, None], edge[1:-1, None], edge[2:, None]
    rising_MK = (frequency_K - lower_M1) / (centre_M1 - lower_M1)
    falling_MK = (upper_M1 - frequency_K) / (upper_M1 - centre_M1)
    triangle_MK = np.maximum(0, np.minimum(rising_MK, falling_MK))
    weight_MK: NDArray[np.float32] = (triangle_MK * 2 / (upper_M1 - lower_M1)).astype(np.float32)
    return weight_MK


def _hz_to_mel(hz: float) -> float:
    """Mels of a frequency above LINEAR_TO_HZ."""
    return LINEAR_TO_HZ / LINEAR_HZ_PER_MEL + math.log(hz / LINEAR_TO_HZ) / LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear_to = LINEAR_TO_HZ / LINEAR_HZ_PER_MEL
    logarithmic = LINEAR_TO_HZ * np.exp(LOG_STEP * (mel - linear_to))
    return np.where(mel < linear_to, mel * LINEAR_HZ_PER_MEL, logarithmic)
