"""Previews: 10 s of audio from the description of a track, as Opus.

Notes come from harmony and rhythm of the style, the motif of the artist, the melody of the track and the voice of the language.
A step is a sixteenth of a bar. Shape letters: N notes of the melody, S samples.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from media.instruments import INSTRUMENTS, RATE, Samples, Synthesizer, Vowels
from media.style_table import SCALES, STYLES, mood
from media.track_description import TrackDescription

PROGRESSIONS = ((0, 5, 3, 4), (0, 4, 5, 3), (0, 3, 0, 4), (5, 3, 0, 4), (0, 2, 3, 3), (0, 6, 5, 4))
"""Degrees of the chords of four bars."""

STRUMS: dict[str, tuple[tuple[int, int], ...]] = {
    "block": ((0, 6), (6, 4), (12, 4)),
    "strum": ((0, 4), (4, 2), (6, 2), (10, 2), (12, 2), (14, 2)),
    "offbeat": ((2, 1), (6, 1), (10, 1), (14, 1)),
    "pad": ((0, 16),),
    "power": tuple((step, 2) for step in range(0, 16, 2)),
    "chug": tuple((step, 1) for step in (0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 14, 15)),
    "bossa": ((0, 3), (3, 3), (6, 2), (10, 3), (13, 2)),
    "arpeggio": tuple((step, 4) for step in range(0, 16, 2)),
    "montuno": tuple((step, 2) for step in (0, 3, 5, 6, 8, 10, 11, 13, 14)),
    "tremolo": tuple((step, 1) for step in range(16)),
}
"""First step and length of the notes of the accompaniment."""
BROKEN = {"arpeggio", "montuno"}
"""Accompaniments with one tone of the chord at a time."""

_A, _E, _I = (820, 1250, 2700), (500, 1850, 2600), (290, 2300, 3100)
_O, _U, _Y, _EO = (460, 850, 2500), (320, 750, 2300), (280, 1850, 2250), (620, 1050, 2600)

SECONDS = 10
BIT_RATE = 32_000
VERSION = 3  # increased when equal descriptions give another sound


@dataclass(frozen=True)
class Region:
    """How songs in a language are sung, and the instrument that is typical of them."""

    vowels: tuple[Vowels, ...]  # formants at the start and end of syllables
    length: float  # sounding share of a syllable
    register: int  # semitones by which the voice is higher than the accompaniment; fills are twice as much higher
    color: str  # instrument of the fills


LANGUAGES = {
    "Mandarin": Region(((_I, _A), (_U, _O), (_A, _I), (_Y, _E)), 0.95, 15, "flute"),
    "Western": Region(((_E, _I), (_O, _U), (_A, _A), (_EO, _A)), 0.8, 12, "organ"),
    "Japanese": Region(((_A, _A), (_I, _I), (_U, _U), (_E, _E), (_O, _O)), 0.55, 17, "pluck"),
    "Korean": Region(((_EO, _EO), (_I, _EO), (_U, _I)), 0.7, 20, "bell"),
    "Cantonese": Region(((_A, _U), (_O, _I), (_EO, _I)), 0.4, 9, "erhu"),
}


Play = Callable[[str, float, float, float, float, Vowels | None], None]
"""Plays a note: instrument, start and length in seconds, MIDI number, loudness; of a syllable, the formants in Hz at the start and at
the end."""


def compose(track: TrackDescription, seconds: float, play: Play) -> None:
    """Play the notes of a track."""
    style, region, (valence, energy) = STYLES[track.style], LANGUAGES[track.language], mood(track.emotions)
    artist, melody = track.generator("motif", track.artist), track.generator("melody", track.recording)
    step_s = 15 / (np.interp(artist.uniform(0.2, 0.8), (0, 1), style.tempo) * (1 + 0.13 * energy))
    root, scale = int(artist.integers(45, 57)), SCALES[style.bright if valence >= 0 else style.dark]
    lead, singer = style.leads[artist.integers(len(style.leads))], int(artist.choice((0, 0, 7, 12)))
    # The melody of a bar has the rhythm and the contour of the artist, varied by the track.
    onset_N = np.sort(artist.choice(np.arange(0, 16, 2), int(np.clip(5 + 2 * energy, 3, 7)), replace=False))
    move_N = artist.integers(-2, 3, 8)[: len(onset_N)] + melody.integers(-1, 2, len(onset_N))
    line = np.stack([onset_N, np.cumsum(move_N).clip(-4, 8), np.diff(np.r_[onset_N, 16]).clip(max=6)], 1).tolist()
    progression = PROGRESSIONS[melody.integers(len(PROGRESSIONS))]

    def add(
        name: str, step: int, steps: float, degree: int, loudness: float, shift: int = 0, vowels: Vowels | None = None
    ) -> None:
        octave, place = divmod(degree, len(scale))
        start = (step + 2 * style.swing * (step % 2)) * step_s
        play(name, start, steps * step_s, root + 12 * octave + scale[place] + shift, loudness, vowels)

    for bar in range(int(np.ceil(seconds / (16 * step_s)))):
        first, chord = 16 * bar, progression[bar % len(progression)] % len(scale)
        triad = (chord, chord + 2, chord + round(4 * len(scale) / 7))
        for number, (step, steps) in enumerate(STRUMS[style.strum]):
            for degree in triad[number % 3 :][:1] if style.strum in BROKEN else triad:
                add(style.chords, first + step, steps, degree, 0.11)
        for number in range(2):
            add(style.bass, first + 8 * number, 8, triad[2 * number], 0.16, -24)
        for number in range(3):
            add(region.color, first + 8 + 2 * number, 4 * region.length, triad[-number], 0.28, 2 * region.register)
            add("bell" if valence > 0 else "strings", first, 16, triad[number], 0.1 * abs(valence), 12)
        for name, pattern in style.drums.items():
            for step in (step for step in range(16) if pattern[step] != "."):
                add(name, first + step, 2, 0, (0.55 + 0.3 * energy) * (1.0 if pattern[step] == "x" else 0.5))
        for number, (step, degree, steps) in enumerate(line):
            loudness, octaves = 0.07 if style.voice >= 0.5 else 0.16, 2 if valence > 0 else 1
            add(lead, first + step, steps, degree + chord, loudness, 12 * octaves)
            # A voice hums in instrumental styles too, because it identifies the language.
            vowels = region.vowels[(bar + number) % len(region.vowels)]
            loudness, register = 0.12 * (1 + style.voice), region.register + singer
            add("voice", first + step, steps * region.length, degree + chord, loudness, register, vowels)


def render_preview(track: TrackDescription) -> Samples:
    """Audio of a track [S] in [-1, 1], mono, RATE samples per second."""
    style, (valence, energy) = STYLES[track.style], mood(track.emotions)
    artist = track.generator("timbre", track.artist)
    render = cache(Synthesizer(artist, 0.5 * energy + 0.3 * valence).note)
    driven_S, clean_S = np.zeros((2, SECONDS * RATE), np.float32)

    def play(name: str, start: float, length: float, pitch: float, loudness: float, vowels: Vowels | None) -> None:
        sound_S = render(INSTRUMENTS[name], pitch, int(length * RATE), vowels)
        is_driven = name in (style.chords, style.bass, *style.leads)
        place_S = (driven_S if is_driven else clean_S)[int(start * RATE) :][: len(sound_S)]
        place_S += loudness * sound_S[: len(place_S)]

    compose(track, SECONDS, play)
    room_S = (
        artist.standard_normal(RATE, np.float32) * np.geomspace(0.05, 0.00005, RATE, dtype=np.float32) * style.space
    )
    driven_S = np.tanh(driven_S * (1 + 5 * style.drive))
    echo_S = np.fft.irfft(np.fft.rfft(driven_S, 2 * len(driven_S)) * np.fft.rfft(room_S, 2 * len(driven_S)))
    sample_S = driven_S + clean_S + echo_S[: len(driven_S)]
    sample_S *= np.linspace(200, 0, SECONDS * RATE, dtype=np.float32).clip(max=1)
    sample_S *= 0.11 * 2 ** (0.8 * energy) / float(np.sqrt(np.square(sample_S).mean()))
    return np.asarray(np.tanh(sample_S), np.float32)


def encode_opus(sample_S: Samples) -> bytes:
    """An Ogg file with Opus, about 40 kB; equal samples give equal files."""
    import av  # a page without previews does not need it

    file = io.BytesIO()
    with av.open(file, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono", options={"compression_level": "0"})
        stream.bit_rate = BIT_RATE
        frame = av.AudioFrame.from_ndarray((sample_S * 32_767).round().astype("<i2")[None], "s16", "mono")
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()
