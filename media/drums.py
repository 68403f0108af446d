"""Synthesized drums: one stroke of each as samples [S]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from media.instruments import RATE, Samples


def _time(seconds: float) -> Samples:
    return np.arange(int(seconds * RATE), dtype=np.float32) / np.float32(RATE)


def _noise(random: np.random.Generator, seconds: float, decay_s: float, low: float, high: float) -> Samples:
    """Noise between two frequencies that fades."""
    time_S = _time(seconds)
    spectrum = np.fft.rfft(random.standard_normal(len(time_S)))
    hz = np.fft.rfftfreq(len(time_S), 1 / RATE)
    spectrum *= np.exp(-(np.clip(low / np.maximum(hz, 1) - 1, 0, None) ** 2) * 4) * (hz <= high)
    noise_S: Samples = np.fft.irfft(spectrum, len(time_S)).astype(np.float32)
    noise_S *= np.exp(-time_S / np.float32(decay_s))
    noise_S /= np.float32(max(np.abs(noise_S).max(), 1e-9))
    return noise_S


def _tone(seconds: float, decay_s: float, start_hz: float, end_hz: float, sweep_s: float) -> Samples:
    """A sine whose pitch falls, as of a drum skin."""
    time_S = _time(seconds)
    cycles_S = end_hz * time_S + (start_hz - end_hz) * sweep_s * (1 - np.exp(-time_S / np.float32(sweep_s)))
    tone_S: Samples = np.sin(np.float32(2 * np.pi) * cycles_S.astype(np.float32))
    tone_S *= np.exp(-time_S / np.float32(decay_s))
    return tone_S


def _mix(*parts: Samples) -> Samples:
    total_S = np.zeros(max(map(len, parts)), np.float32)
    for part_S in parts:
        total_S[: len(part_S)] += part_S
    return total_S


DRUMS: dict[str, Callable[[np.random.Generator, float], Samples]] = {
    "kick": lambda random, pitch: _mix(
        _tone(0.25, 0.09, 160 * pitch, 52 * pitch, 0.03), 0.25 * _noise(random, 0.03, 0.008, 800, 5000)
    ),
    "deep kick": lambda _, pitch: 1.2 * _tone(0.5, 0.28, 140 * pitch, 42 * pitch, 0.04),
    "snare": lambda random, pitch: _mix(
        0.5 * _tone(0.15, 0.05, 260 * pitch, 180 * pitch, 0.02), 0.7 * _noise(random, 0.22, 0.07, 900, 8000)
    ),
    "clap": lambda random, _: _mix(
        *(np.pad(0.5 * _noise(random, 0.16, 0.04, 900, 4000), (delay, 0)) for delay in (0, 180, 390))
    ),
    "rim": lambda random, pitch: _mix(
        0.6 * _tone(0.05, 0.012, 1700 * pitch, 1650 * pitch, 0.01), 0.3 * _noise(random, 0.03, 0.006, 2000, 8000)
    ),
    "brush": lambda random, _: 0.35 * _noise(random, 0.2, 0.09, 2000, 8000),
    "hat": lambda random, _: 0.35 * _noise(random, 0.06, 0.02, 5000, 8000),
    "ride": lambda random, pitch: _mix(
        0.25 * _noise(random, 0.35, 0.15, 4500, 8000), 0.08 * _tone(0.35, 0.15, 3150 * pitch, 3150 * pitch, 0.1)
    ),
    "crash": lambda random, _: 0.4 * _noise(random, 0.7, 0.3, 3000, 8000),
    "shaker": lambda random, _: 0.3 * _noise(random, 0.07, 0.03, 3500, 8000),
    "tambourine": lambda random, pitch: _mix(
        0.3 * _noise(random, 0.12, 0.05, 5500, 8000), 0.1 * _tone(0.12, 0.06, 6200 * pitch, 6200 * pitch, 0.1)
    ),
    "cowbell": lambda _, pitch: (
        0.25 * _mix(_tone(0.15, 0.05, 560 * pitch, 560 * pitch, 0.1), _tone(0.15, 0.05, 845 * pitch, 845 * pitch, 0.1))
    ),
    "clave": lambda _, pitch: 0.5 * _tone(0.08, 0.02, 2500 * pitch, 2500 * pitch, 0.1),
    "woodblock": lambda _, pitch: 0.5 * _tone(0.1, 0.03, 1050 * pitch, 900 * pitch, 0.01),
    "low drum": lambda random, pitch: _mix(
        0.9 * _tone(0.4, 0.14, 150 * pitch, 85 * pitch, 0.04), 0.1 * _noise(random, 0.05, 0.02, 300, 3000)
    ),
    "high drum": lambda random, pitch: _mix(
        0.7 * _tone(0.18, 0.06, 390 * pitch, 300 * pitch, 0.02), 0.15 * _noise(random, 0.04, 0.01, 800, 6000)
    ),
}
"""Stroke of each drum, from a generator of its noise and a factor of its pitch."""
