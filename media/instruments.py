"""Sounds of previews: one synthesizer renders instruments, voices and drums from a table of their parameters.

Shape letters: S samples, H harmonics, T places of a wavetable, P peaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # Hz
TABLE = 1_024  # places of a wavetable, one period

Samples = NDArray[np.float32]
Vowels = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Instrument:
    """Parameters of an instrument or a drum: harmonics and noise that fade together."""

    decay_s: float  # time constant; in it, harmonics fade too
    rolloff: float = 1.0  # exponent with which harmonics become softer
    sustain: float = 0.0  # loudness after the decay, 0 to 1; sustained notes vibrate
    attack_s: float = 0.003
    formants: tuple[float, ...] = ()  # Hz
    noise: float = 0.0  # its share of the sound, 0 to 1
    hz: float = 0.0  # pitch to which the skin of a drum falls; 0: the note has the pitch


INSTRUMENTS = {
    "piano": Instrument(0.5, 1.5),
    "electric piano": Instrument(0.7, 2.2, 0.05, formants=(450,)),
    "organ": Instrument(0.1, 0.9, 0.9, 0.01, (600, 2400)),
    "acoustic guitar": Instrument(0.25, 1.1, formants=(250, 3000), noise=0.04),
    "electric guitar": Instrument(0.9, 1.0, 0.3, formants=(1600,)),
    "overdriven guitar": Instrument(0.8, 0.5, 0.7, formants=(900, 2600)),
    "saw pad": Instrument(0.5, 0.9, 0.8, 0.12),
    "square": Instrument(0.2, 0.5, 0.5, formants=(500, 3500)),
    "bell": Instrument(0.5, 2.5, formants=(2700,)),
    "strings": Instrument(0.5, 1.1, 0.9, 0.15, noise=0.02),
    "erhu": Instrument(0.5, 0.8, 1.0, 0.07, (900, 1900), 0.03),
    "flute": Instrument(0.3, 2.2, 0.9, 0.04, (2200,), 0.2),
    "reed": Instrument(0.3, 0.6, 0.9, 0.03, (1200, 2700), 0.04),
    "trumpet": Instrument(0.3, 0.7, 0.8, 0.03, (1000, 2200), 0.06),
    "pluck": Instrument(0.14, 0.6, 0.0, 0.001, (800, 2300), 0.05),
    "sitar": Instrument(0.5, 0.4, 0.1, 0.002, (1500, 3500)),
    "zither": Instrument(0.45, 1.0, 0.0, 0.001, (1800,)),
    "marimba": Instrument(0.15, 3.0, 0.0, 0.001),
    "choir": Instrument(0.6, 1.3, 1.0, 0.35, (600, 1000), 0.08),
    "electric bass": Instrument(0.4, 1.4, 0.4),
    "upright bass": Instrument(0.3, 2.0, 0.1, 0.01, noise=0.03),
    "synth bass": Instrument(0.15, 0.6, 0.5),
    "drone": Instrument(0.5, 1.0, 1.0, 0.3, (400,)),
    "sub bass": Instrument(0.6, 3.2, 0.7, 0.01),
    "voice": Instrument(0.2, 0.8, 0.9, 0.04, noise=0.05),
    "kick": Instrument(0.1, 9.0, noise=0.05, hz=55),
    "deep kick": Instrument(0.28, 9.0, hz=43),
    "snare": Instrument(0.07, 3.0, noise=0.4, hz=185),
    "clap": Instrument(0.05, formants=(1200,), noise=0.4, hz=900),
    "hat": Instrument(0.02, noise=0.2, hz=5000),
    "ride": Instrument(0.15, noise=0.1, hz=3150),
    "crash": Instrument(0.3, noise=0.2, hz=3700),
    "shaker": Instrument(0.04, noise=0.1, hz=4000),
    "cowbell": Instrument(0.06, 1.5, hz=700),
    "woodblock": Instrument(0.06, 3.0, hz=950),
    "low drum": Instrument(0.14, 5.0, noise=0.05, hz=85),
    "high drum": Instrument(0.06, 4.0, noise=0.08, hz=310),
}


class Synthesizer:
    """Renders notes with the timbre of one artist.

    Args:
        artist: Generator of the timbre.
        brightness: Added to the loudness of high harmonics, about -1 to 1.
    """

    def __init__(self, artist: np.random.Generator, brightness: float) -> None:
        self._brightness = brightness + float(artist.uniform(-0.4, 0.25))
        self._peak_P = (np.geomspace(220, 4500, 4) * artist.uniform(0.75, 1.33, 4)).tolist()  # Hz of resonances
        self._decibel_P = artist.choice((-1.0, 1.0), 4) * artist.uniform(1.5, 6, 4)
        self._vibrato, self._decay, self._tuning = artist.uniform((0.4, 0.7, 0.9), (1.8, 1.4, 1.12)).tolist()
        self._noise_S = artist.standard_normal(10 * RATE, np.float32)

    def note(self, instrument: Instrument, pitch: float, length: int, vowels: Vowels | None = None) -> Samples:
        """A note with its release [S].

        Args:
            instrument: One of INSTRUMENTS.
            pitch: MIDI number, 60 is middle C.
            length: Samples from the attack to the release.
            vowels: Formants in Hz at the start and at the end of a sung note, in place of the instrument's.
        """
        hz = instrument.hz * self._tuning or 440 * 2 ** ((pitch - 69) / 12)
        time_S = np.arange(length + RATE // 12, dtype=np.float32) / RATE
        fade_S = np.exp(-time_S / (instrument.decay_s * self._decay))
        # Sustained notes vibrate; the skin of a drum falls by 100 Hz.
        cycle_S = hz * time_S - self._vibrato * instrument.sustain * hz * np.cos(2 * np.pi * 5.5 * time_S) / 2_000
        cycle_S -= 3 * (instrument.hz > 0) * np.exp(-time_S / 0.03)
        place_S = (cycle_S * TABLE).astype(int) % TABLE
        start, end = vowels or (instrument.formants, instrument.formants)
        end_T = self._period(hz, end, instrument.rolloff - 0.6 * self._brightness + 0.4)
        start_T = self._period(hz, start, instrument.rolloff - 0.6 * self._brightness)
        tone_S = end_T[place_S] + fade_S * (start_T - end_T)[place_S]
        # Small drums hiss: differences of noise leave its high frequencies.
        noise_S = (
            np.diff(self._noise_S[: len(tone_S) + 2], 2) if instrument.hz > 1_000 else self._noise_S[: len(tone_S)]
        )
        envelope_S = np.minimum(time_S / instrument.attack_s, 1) * np.minimum(12 * (time_S[-1] - time_S), 1)
        envelope_S *= instrument.sustain + (1 - instrument.sustain) * fade_S
        return np.asarray((tone_S + instrument.noise * (noise_S - tone_S)) * envelope_S, np.float32)

    def _period(self, hz: float, formants: Sequence[float], rolloff: float) -> Samples:
        """One period [T] of the harmonics below half the sample rate."""
        number_H = np.arange(1, max(int(min(0.47 * RATE / hz, 64)), 1) + 1)
        octave_H = np.log2(number_H * hz)
        resonance_H = 10 ** (_near(octave_H, self._peak_P, 0.45) @ self._decibel_P / 20)
        amplitude_H = number_H ** -max(rolloff, 0.1) * resonance_H * (0.12 + _near(octave_H, formants, 0.3).sum(1))
        # Spread, because the peaks of harmonics in phase are high.
        wave_T = np.fft.irfft(np.r_[0, amplitude_H * -1j * np.exp(0.7j * number_H**1.3)], TABLE)
        return np.asarray(wave_T / np.sqrt(np.square(wave_T).mean()), np.float32)


def _near(octave_H: NDArray[np.float64], peaks: Sequence[float], width: float) -> NDArray[np.float64]:
    """How near each frequency is to each peak [H, P], 0 to 1."""
    return np.exp(-(((octave_H[:, None] - np.log2(peaks)) / width) ** 2))
