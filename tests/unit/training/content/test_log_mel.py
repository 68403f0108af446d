"""Log-mel spectrograms against the formula, and mel bands against properties of librosa's."""

from __future__ import annotations

import numpy as np
import torch

from training.content.encoders.log_mel import (
    HOP,
    PATCH_SAMPLES,
    SAMPLE_RATE,
    WINDOW,
    log_mel_patches,
    mel_bands,
)
from training.content.encoders.musicnn import FRAMES, MEL_BANDS


def test_bands_are_librosas() -> None:
    """Figures of `librosa.filters.mel(sr=16000, n_fft=512, n_mels=96)`, from the definition of the scale.

    Up to 1 kHz, 15 mels, bands are linear: 45.245 mels at 8 kHz make steps of 45.245 / 97 mels = 31.1 Hz.
    """
    band_MK = mel_bands()
    assert band_MK.shape == (MEL_BANDS, WINDOW // 2 + 1) and (band_MK >= 0).all()
    step = (15 + np.log(8) / (np.log(6.4) / 27)) / 97 * 200 / 3
    frequency_K = np.arange(257) * SAMPLE_RATE / WINDOW
    expected_K = np.maximum(0, 1 - np.abs(frequency_K / step - 5)) / step  # the fifth band: area 1 in Hz
    np.testing.assert_allclose(band_MK[4], expected_K, atol=1e-7)
    areas = band_MK[60:].sum(axis=1) * SAMPLE_RATE / WINDOW
    np.testing.assert_allclose(areas, 1, atol=0.05)


def test_spectrogram_equals_the_formula() -> None:
    sample_S = np.random.default_rng(0).uniform(-1, 1, PATCH_SAMPLES)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.stack([sample_S[frame * HOP : frame * HOP + WINDOW] * window for frame in range(FRAMES)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    expected = np.log10(1 + 10_000 * power @ mel_bands().T)
    actual = log_mel_patches(torch.from_numpy(sample_S[None].astype(np.float32)))[0]
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-4)
