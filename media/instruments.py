"""Synthesized instruments: notes from wavetables, and drums. Shape letters: S samples, H harmonics, T table places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # Hz
TABLE = 1_024  # places of a wavetable, one period
MAX_HARMONICS = 64
RELEASE = RATE // 12  # samples after the end of a note
VIBRATO_HZ = 5.5
BELL_PARTIAL = 2.76  # times the pitch
DECAY_BRIGHTNESS = 0.7  # by which notes become duller as they decay
FORMANT_WIDTH, VOWEL_WIDTH = 0.5, 0.28  # octaves

Samples = NDArray[np.float32]
Vowels = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Instrument:
    """Parameters of a wavetable instrument."""

    rolloff: float  # exponent with which harmonics become softer
    even: float  # loudness of even harmonics: 0 hollow, 1 full
    attack_s: float
    decay_s: float  # time constant; in it, harmonics fade too
    sustain: float  # loudness after the decay, 0 to 1
    vibrato: float = 0.0  # semitones
    breath: float = 0.0  # loudness of noise
    detune: float = 0.0  # semitones between two copies
    formants: tuple[float, ...] = ()  # Hz
    octave: int = 0  # above the written pitch
    partials: float = 0.0  # loudness of a bell's partial at 2.76 times the pitch


INSTRUMENTS = {
    "piano": Instrument(1.5, 0.9, 0.003, 0.5, 0.0, detune=0.03),
    "electric piano": Instrument(2.2, 0.4, 0.004, 0.7, 0.05, partials=0.25),
    "organ": Instrument(0.9, 1.0, 0.01, 0.1, 0.9, vibrato=0.12, formants=(600, 2400)),
    "acoustic guitar": Instrument(1.1, 0.8, 0.002, 0.25, 0.0, breath=0.04, detune=0.05, formants=(250, 3000)),
    "nylon guitar": Instrument(1.9, 0.7, 0.004, 0.3, 0.0, formants=(220, 900)),
    "electric guitar": Instrument(1.0, 0.9, 0.003, 0.9, 0.3, detune=0.06, formants=(1600,)),
    "overdriven guitar": Instrument(0.5, 0.9, 0.004, 0.8, 0.7, detune=0.12, formants=(900, 2600)),
    "saw pad": Instrument(0.9, 1.0, 0.12, 0.5, 0.8, detune=0.18),
    "saw lead": Instrument(0.6, 1.0, 0.005, 0.3, 0.6, detune=0.12),
    "square": Instrument(0.8, 0.0, 0.003, 0.2, 0.5),
    "bell": Instrument(2.5, 0.2, 0.001, 0.5, 0.0, octave=1, partials=0.8),
    "strings": Instrument(1.1, 1.0, 0.15, 0.5, 0.9, vibrato=0.2, detune=0.1, breath=0.02),
    "violin": Instrument(0.9, 1.0, 0.06, 0.4, 0.9, vibrato=0.35, formants=(500, 2800), octave=1),
    "cello": Instrument(1.0, 1.0, 0.08, 0.5, 0.8, vibrato=0.25, formants=(300, 1200)),
    "fiddle": Instrument(0.7, 1.0, 0.02, 0.3, 0.8, vibrato=0.15, breath=0.06, formants=(1100, 3300), octave=1),
    "erhu": Instrument(0.8, 1.0, 0.07, 0.5, 0.9, vibrato=0.6, breath=0.03, formants=(900, 1900)),
    "flute": Instrument(2.8, 0.6, 0.05, 0.3, 0.9, vibrato=0.2, breath=0.18, octave=1),
    "dizi": Instrument(1.6, 0.8, 0.03, 0.3, 0.9, vibrato=0.4, breath=0.25, formants=(2200,), octave=1),
    "harmonica": Instrument(0.7, 0.9, 0.03, 0.2, 0.9, vibrato=0.25, formants=(1400, 2900)),
    "melodica": Instrument(0.8, 0.5, 0.03, 0.2, 0.8, vibrato=0.1, formants=(1000,)),
    "oboe": Instrument(0.7, 0.9, 0.04, 0.3, 0.9, vibrato=0.2, formants=(1100, 2700)),
    "reed": Instrument(0.5, 0.9, 0.02, 0.3, 0.9, vibrato=0.5, breath=0.05, formants=(800, 2100)),
    "saxophone": Instrument(0.9, 1.0, 0.04, 0.3, 0.8, vibrato=0.3, breath=0.12, formants=(500, 1300)),
    "trumpet": Instrument(0.6, 1.0, 0.02, 0.3, 0.8, vibrato=0.15, formants=(1200, 2500)),
    "muted trumpet": Instrument(0.6, 1.0, 0.02, 0.2, 0.7, vibrato=0.2, breath=0.03, formants=(1900, 3600)),
    "banjo": Instrument(0.7, 1.0, 0.001, 0.09, 0.0, formants=(900, 2600)),
    "sitar": Instrument(0.4, 1.0, 0.002, 0.5, 0.1, detune=0.1, formants=(1500, 3500)),
    "shamisen": Instrument(0.5, 0.9, 0.001, 0.14, 0.0, breath=0.1, formants=(700, 2000)),
    "guzheng": Instrument(1.0, 1.0, 0.001, 0.45, 0.0, vibrato=0.25, formants=(1800,), octave=1),
    "marimba": Instrument(3.0, 0.1, 0.001, 0.12, 0.0, partials=0.5),
    "kalimba": Instrument(2.6, 0.1, 0.001, 0.3, 0.0, octave=1, partials=0.5),
    "choir": Instrument(1.3, 1.0, 0.35, 0.6, 1.0, vibrato=0.3, breath=0.08, detune=0.2, formants=(600, 1000)),
    "electric bass": Instrument(1.4, 0.9, 0.005, 0.4, 0.4, octave=-2),
    "upright bass": Instrument(2.0, 0.7, 0.01, 0.3, 0.1, breath=0.03, octave=-2),
    "synth bass": Instrument(0.8, 0.6, 0.004, 0.15, 0.5, octave=-2),
    "sub bass": Instrument(3.2, 0.5, 0.01, 0.6, 0.7, octave=-2),
    "drone": Instrument(1.0, 1.0, 0.3, 0.5, 1.0, detune=0.06, octave=-2, formants=(400,)),
    "voice": Instrument(0.8, 1.0, 0.04, 0.5, 0.9, vibrato=0.3, breath=0.05),
}


@dataclass(frozen=True)
class Timbre:
    """How the instruments of one artist differ from those of others."""

    rolloff: float  # added to the exponent of every instrument
    peaks: tuple[tuple[float, float], ...]  # Hz and decibels of resonances
    vibrato: float  # factor
    detune: float  # semitones, added
    decay: float  # factor

    @classmethod
    def sample(cls, random: np.random.Generator) -> Timbre:
        """The timbre of an artist."""
        centers = np.geomspace(220, 4500, 4) * random.uniform(0.75, 1.33, 4)
        gains = random.choice((-1.0, 1.0), 4) * random.uniform(3, 8, 4)
        return cls(
            rolloff=float(random.uniform(-0.25, 0.35)),
            peaks=tuple(zip(centers.tolist(), gains.tolist(), strict=True)),
            vibrato=float(random.uniform(0.4, 1.8)),
            detune=float(random.choice((0.0, 0.0, 0.08, 0.2))),
            decay=float(random.uniform(0.6, 1.6)),
        )

    def gain(self, octave_H: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amplitude of each frequency, given as its logarithm in octaves above 1 Hz."""
        centers, gains = np.array(self.peaks).T
        decibels_H = np.exp(-(((octave_H[:, None] - np.log2(centers)) / 0.45) ** 2)) @ gains
        amplitude_H: NDArray[np.float64] = 10 ** (decibels_H / 20)
        return amplitude_H


class Synthesizer:
    """Renders notes in the timbre of one artist; equal notes are rendered once.

    Args:
        timbre: Of the artist.
        brightness: Added to the loudness of high harmonics, about -1 to 1.
        random: Generator of the noise.
    """

    def __init__(self, timbre: Timbre, brightness: float, random: np.random.Generator) -> None:
        self._timbre, self._brightness = timbre, brightness
        self._noise_S = random.standard_normal(RATE, dtype=np.float32)
        self._notes: dict[tuple[str, float, int, Vowels], Samples] = {}

    def note(self, name: str, pitch: float, length: int, vowels: Vowels = ((), ())) -> Samples:
        """A note with its release.

        Args:
            name: One of INSTRUMENTS.
            pitch: MIDI number, 60 is middle C.
            length: Samples from the attack to the release.
            vowels: Of a voice, its formants in Hz at the start and at the end, in place of those of the instrument.
        """
        key = (name, pitch, length, vowels)
        if key not in self._notes:
            self._notes[key] = self._render(INSTRUMENTS[name], pitch, length, vowels)
        return self._notes[key]

    def _render(self, instrument: Instrument, pitch: float, length: int, vowels: Vowels) -> Samples:
        hz = 440 * 2 ** ((pitch + 12 * instrument.octave - 69) / 12)
        time_S = np.arange(length + RELEASE, dtype=np.float32) / np.float32(RATE)
        fade_S = np.exp(time_S * np.float32(-1 / (instrument.decay_s * self._timbre.decay)))
        envelope_S = instrument.sustain + np.float32(1 - instrument.sustain) * fade_S
        attack = min(int(instrument.attack_s * RATE) + 8, len(time_S))
        envelope_S[:attack] *= np.arange(attack, dtype=np.float32) / np.float32(attack)
        envelope_S[-RELEASE:] *= np.linspace(1, 0, RELEASE, dtype=np.float32)

        phase_S = time_S * np.float32(hz)
        if instrument.vibrato:
            # The phase is the integral of the frequency, and cos is that of sin.
            depth = instrument.vibrato * self._timbre.vibrato * hz * (np.log(2) / 12) / (2 * np.pi * VIBRATO_HZ)
            phase_S -= np.float32(depth) * np.cos(np.float32(2 * np.pi * VIBRATO_HZ) * time_S)
        if vowels[0]:
            start_T, end_T = self._tables(instrument, hz, (self._brightness,) * 2, vowels)
            fade_S = 1 - time_S / time_S[-1]
        else:
            brightness = (self._brightness, self._brightness - DECAY_BRIGHTNESS)
            start_T, end_T = self._tables(instrument, hz, brightness, (instrument.formants,) * 2)
        note_S = _look_up(end_T, phase_S)
        note_S += fade_S * (_look_up(start_T, phase_S) - note_S)
        if detune := instrument.detune + self._timbre.detune * (instrument.sustain > 0):
            note_S += _look_up(end_T, phase_S * np.float32(2 ** (detune / 12)))
            note_S *= np.float32(0.6)
        if instrument.partials:
            strike_S = np.sin(np.float32(2 * np.pi * BELL_PARTIAL * hz) * time_S) * fade_S**2
            note_S += np.float32(instrument.partials * 0.5) * strike_S
        if instrument.breath:
            note_S += np.float32(instrument.breath) * np.resize(self._noise_S, len(note_S))
        note_S *= envelope_S
        return note_S

    def _tables(
        self,
        instrument: Instrument,
        hz: float,
        brightness: tuple[float, float],
        formants: tuple[tuple[float, ...], tuple[float, ...]],
    ) -> Samples:
        """One period [2, T] of the harmonics below half the sample rate, at the start and at the end of a note."""
        harmonics = max(min(int(0.47 * RATE / hz), MAX_HARMONICS), 1)
        number_H = np.arange(1, harmonics + 1)
        octave_H = np.log2(number_H * hz)
        common_H = self._timbre.gain(octave_H)
        common_H[1::2] *= instrument.even
        width = FORMANT_WIDTH if formants[0] == instrument.formants else VOWEL_WIDTH
        # Spread, because the peaks of harmonics in phase are high.
        phase_H = -1j * np.exp(0.7j * number_H**1.3)
        spectrum = np.zeros((2, TABLE // 2 + 1), np.complex64)
        for row in range(2):
            rolloff = max(instrument.rolloff + self._timbre.rolloff - 0.6 * brightness[row], 0.1)
            amplitude_H = common_H * number_H**-rolloff
            if formants[row]:
                distance_HF = octave_H[:, None] - np.log2(formants[row])
                amplitude_H *= 0.12 + np.exp(-((distance_HF / width) ** 2)).sum(1)
            # The power of a period is half the sum of the squares of its amplitudes.
            amplitude_H *= TABLE / np.sqrt(2 * np.square(amplitude_H).sum())
            spectrum[row, 1 : harmonics + 1] = amplitude_H * phase_H
        return np.asarray(np.fft.irfft(spectrum), np.float32)


def _look_up(table_T: Samples, phase_S: Samples) -> Samples:
    place_S = (phase_S * np.float32(TABLE)).astype(np.int32)
    place_S &= TABLE - 1
    return table_T[place_S]
