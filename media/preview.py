"""Previews: 10 s of audio from the description of a track, as WAV."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from scipy.io import wavfile

from media.composition import compose
from media.instruments import INSTRUMENTS, RATE, Samples, Synthesizer
from media.style_table import find_style, mood
from media.track_description import TrackDescription

SECONDS = 10
VERSION = 2  # increased when equal descriptions give another sound


def render_preview(track: TrackDescription) -> Samples:
    """Audio of a track [S] in [-1, 1], mono, RATE samples per second.

    Raises:
        ValueError: The style, an emotion or the language of the track has no sound.
    """
    style, (valence, energy) = find_style(track.style), mood(track.emotions)
    artist = track.generator("timbre", track.artist)
    render = cache(Synthesizer(artist, 0.5 * energy + 0.3 * valence).note)
    driven_S, clean_S = np.zeros((2, SECONDS * RATE), np.float32)
    for note in compose(track, SECONDS):
        sound_S = render(INSTRUMENTS[note.instrument], note.pitch, int(note.length * RATE), note.vowels)
        is_driven = note.instrument in (style.chords, style.bass, *style.leads)
        place_S = (driven_S if is_driven else clean_S)[int(note.start * RATE) :][: len(sound_S)]
        place_S += note.loudness * sound_S[: len(place_S)]
    room_S = (
        artist.standard_normal(RATE, np.float32) * np.geomspace(0.05, 0.00005, RATE, dtype=np.float32) * style.space
    )
    driven_S = np.tanh(driven_S * (1 + 5 * style.drive))
    echo_S = np.fft.irfft(np.fft.rfft(driven_S, 2 * len(driven_S)) * np.fft.rfft(room_S, 2 * len(driven_S)))
    sample_S = driven_S + clean_S + echo_S[: len(driven_S)]
    sample_S *= np.linspace(200, 0, SECONDS * RATE, dtype=np.float32).clip(max=1)
    sample_S *= 0.11 * 2 ** (0.8 * energy) / float(np.sqrt(np.square(sample_S).mean()))
    return np.asarray(np.tanh(sample_S), np.float32)


def encode_wav(sample_S: Samples) -> bytes:
    """A WAV file with 16-bit samples."""
    file = io.BytesIO()
    wavfile.write(file, RATE, (sample_S * 32_767).round().astype("<i2"))
    return file.getvalue()
