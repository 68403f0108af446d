"""Previews: 10 s of audio from the description of a track, as WAV."""

from __future__ import annotations

import io
import wave

import numpy as np

from media.composition import Composition, Note, compose
from media.drums import DRUMS
from media.instruments import RATE, Samples, Synthesizer, Timbre
from media.style_table import Style, find_style, mood
from media.track_description import TrackDescription

SECONDS = 10
VERSION = 1  # increased when equal descriptions give another sound
PEAK = 0.9


def render_preview(track: TrackDescription) -> Samples:
    """Audio of a track [S] in [-1, 1], mono, RATE samples per second.

    Raises:
        ValueError: The style, an emotion or the language of the track has no sound.
    """
    style, (valence, energy) = find_style(track.style), mood(track.emotions)
    composition = compose(track, SECONDS)
    artist = track.generator("timbre", track.artist)
    synthesizer = Synthesizer(Timbre.sample(artist), 0.5 * energy + 0.3 * valence, artist)
    dry_S = np.zeros(SECONDS * RATE, np.float32)
    for name, notes in composition.parts.items():
        _play(dry_S, synthesizer, name, notes)
    if style.drive:
        dry_S = np.tanh(dry_S * np.float32(1 + 5 * style.drive)) * np.float32(0.7)
    _sing(dry_S, synthesizer, composition.voice)
    wet_S = _reverberate(dry_S, style, artist)
    _beat(wet_S, composition, artist)
    target = 0.11 * 2 ** (0.8 * energy)
    wet_S *= np.float32(target / max(float(np.sqrt(np.square(wet_S).mean())), 1e-9))
    fade = RATE // 20
    wet_S[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    sample_S: Samples = np.float32(PEAK) * np.tanh(wet_S / np.float32(PEAK))
    return sample_S


def encode_wav(sample_S: Samples) -> bytes:
    """A WAV file with 16-bit samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes((sample_S * 32_767).round().astype("<i2").tobytes())
    return file.getvalue()


def _add(mix_S: Samples, start: float, sound_S: Samples, loudness: float) -> None:
    first = int(start * RATE)
    room = len(mix_S) - first
    if room > 0:
        mix_S[first : first + len(sound_S)] += np.float32(loudness) * sound_S[:room]


def _play(mix_S: Samples, synthesizer: Synthesizer, name: str, notes: list[Note]) -> None:
    for note in notes:
        _add(mix_S, note.start, synthesizer.note(name, note.pitch, int(note.length * RATE)), 0.2 * note.loudness)


def _sing(mix_S: Samples, synthesizer: Synthesizer, notes: list[Note]) -> None:
    for note in notes:
        syllable_S = synthesizer.note("voice", note.pitch, int(note.length * RATE), note.vowels)
        _add(mix_S, note.start, syllable_S, 0.22 * note.loudness)


def _beat(mix_S: Samples, composition: Composition, artist: np.random.Generator) -> None:
    pitch = float(artist.uniform(0.8, 1.25))
    level = float(artist.uniform(0.7, 1.2))
    for name, strokes in composition.strokes.items():
        stroke_S = DRUMS[name](artist, pitch)
        for start, loudness in strokes:
            _add(mix_S, start, stroke_S, 0.95 * level * loudness)


def _reverberate(dry_S: Samples, style: Style, artist: np.random.Generator) -> Samples:
    """The sound with its echoes from the room of the artist."""
    space = style.space * float(artist.uniform(0.6, 1.3))
    wet_S = dry_S.copy()
    delays = np.sort(artist.uniform(0.02, 0.15 + 0.5 * style.space, 14))
    signs = artist.choice((-1.0, 1.0), len(delays))
    for delay, sign in zip(delays.tolist(), signs.tolist(), strict=True):
        first = int(delay * RATE)
        gain = sign * 0.55 * space * np.exp(-delay / (0.1 + 0.4 * space))
        wet_S[first:] += np.float32(gain) * dry_S[:-first]
    return wet_S
