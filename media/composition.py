"""Notes and strokes of a preview: harmony and rhythm of the style, motif of the artist, melody of the track.

A step is a sixteenth of a bar. Shape letters: N notes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from media.style_table import SCALES, Style, find_style, mood
from media.track_description import TrackDescription

STEPS = 16
MIN_VOICE = 0.25  # a voice hums in instrumental styles too, because it identifies the language
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
BROKEN = {"arpeggio", "montuno", "tremolo"}
"""Accompaniments with one tone of the chord at a time."""

BASS_LINES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "block": ((0, 6, 0), (6, 4, 0), (12, 4, 4)),
    "strum": ((0, 8, 0), (8, 8, 4)),
    "offbeat": ((0, 4, 0), (8, 4, 4)),
    "pad": ((2, 2, 0), (6, 2, 0), (10, 2, 0), (14, 2, 0)),
    "power": tuple((step, 2, 0) for step in range(0, 16, 2)),
    "chug": tuple((step, 2, 0) for step in range(0, 16, 2)),
    "bossa": ((0, 6, 0), (6, 2, 4), (8, 6, 4), (14, 2, 0)),
    "arpeggio": ((0, 15, 0),),
    "montuno": ((3, 5, 0), (8, 4, 4), (12, 4, 0)),
    "tremolo": ((0, 8, 0), (8, 8, 0)),
}
"""First step, length and scale degree above the chord of each bass note; a walking bass if the style swings."""

_A, _E, _I = (820, 1250, 2700), (500, 1850, 2600), (290, 2300, 3100)
_O, _U, _Y, _EO = (460, 850, 2500), (320, 750, 2300), (280, 1850, 2250), (620, 1050, 2600)


@dataclass(frozen=True)
class Region:
    """How songs in a language are sung, and the instrument that is typical of them."""

    vowels: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]  # formants at the start and end of syllables
    length: float  # sounding share of a syllable
    pentatonic: bool  # the melody avoids the fourth and the seventh
    register: int  # semitones
    color: str  # instrument of the fills


LANGUAGES = {
    "Mandarin": Region(((_I, _A), (_U, _O), (_A, _I), (_Y, _E)), 0.95, True, 3, "dizi"),
    "Western": Region(((_E, _I), (_O, _U), (_A, _A), (_EO, _A)), 0.8, False, 0, "organ"),
    "Japanese": Region(((_A, _A), (_I, _I), (_U, _U), (_E, _E), (_O, _O)), 0.55, False, 8, "shamisen"),
    "Korean": Region(((_EO, _EO), (_I, _EO), (_U, _I)), 0.7, False, 5, "bell"),
    "Cantonese": Region(((_A, _U), (_O, _I), (_EO, _I)), 0.4, True, -3, "erhu"),
}


@dataclass(frozen=True)
class Note:
    """One note of an instrument, or one syllable."""

    start: float  # seconds
    length: float  # seconds
    pitch: float  # MIDI number
    loudness: float
    vowels: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())


@dataclass(frozen=True)
class Composition:
    """All notes and strokes of a preview."""

    parts: dict[str, list[Note]]  # notes of each instrument
    strokes: dict[str, list[tuple[float, float]]]  # second and loudness of the strokes of each drum
    voice: list[Note]


@dataclass(frozen=True)
class _Frame:
    """What all parts share."""

    step_s: float
    bars: int
    swing: float
    root: int  # MIDI number of the key
    scale: tuple[int, ...]
    chords: tuple[int, ...]  # degree of each bar

    def time(self, bar: int, step: int) -> float:
        late = 2 * self.swing if step % 2 else 0.0
        return (bar * STEPS + step + late) * self.step_s

    def pitch(self, degree: int) -> int:
        octave, place = divmod(degree, len(self.scale))
        return self.root + 12 * octave + self.scale[place]

    def triad(self, bar: int) -> list[int]:
        third, fifth = (2, 4) if len(self.scale) > 6 else (2, 3)
        chord = self.chords[bar % len(self.chords)] % len(self.scale)
        return [self.pitch(chord + degree) for degree in (0, third, fifth)]


def compose(track: TrackDescription, seconds: float) -> Composition:
    """The composition of a track.

    Raises:
        ValueError: The style, an emotion or the language of the track has no sound.
    """
    if track.language not in LANGUAGES:
        raise ValueError(f"no singing in {track.language!r}; add it to LANGUAGES in media/composition.py")
    style, region, (valence, energy) = find_style(track.style), LANGUAGES[track.language], mood(track.emotions)
    artist, melody = track.generator("motif", track.artist), track.generator("melody", track.recording)
    frame = _plan(style, valence, energy, artist, melody, seconds)
    lead, singer = style.leads[artist.integers(len(style.leads))], int(artist.choice((0, 0, 7, 12)))
    line = _melody(frame, artist, melody, region.pentatonic, energy)
    sung = _vary(line, region.register + singer, region.length, max(style.voice, MIN_VOICE))
    return Composition(
        parts=_parts(frame, style, region.color, lead, line, valence),
        strokes=_drum(frame, style, energy),
        voice=[replace(note, vowels=region.vowels[number % len(region.vowels)]) for number, note in enumerate(sung)],
    )


def _plan(
    style: Style,
    valence: float,
    energy: float,
    artist: np.random.Generator,
    melody: np.random.Generator,
    seconds: float,
) -> _Frame:
    """Tempo, key, scale and chords."""
    low, high = style.tempo
    usual_tempo = low + (high - low) * artist.uniform(0.2, 0.8)
    step_s = 15 / (usual_tempo * (1 + 0.13 * energy) * melody.uniform(0.97, 1.03))
    return _Frame(
        step_s=step_s,
        bars=int(np.ceil(seconds / (STEPS * step_s))),
        swing=style.swing,
        root=int(artist.integers(45, 57)) + int(melody.integers(-2, 3)),
        scale=SCALES[style.bright if valence >= 0 else style.dark],
        chords=PROGRESSIONS[melody.integers(len(PROGRESSIONS))],
    )


def _parts(
    frame: _Frame, style: Style, color: str, lead: str, line: list[Note], valence: float
) -> dict[str, list[Note]]:
    """Notes of each instrument. Sad tracks have strings and long notes, happy ones bells and short notes."""
    length = 0.7 if valence > 0.3 else 1.2 if valence < -0.3 else 1.0
    layers = [
        (style.chords, _accompany(frame, style)),
        (style.bass, _bass(frame, style)),
        (lead, _vary(line, 24 if valence > 0.4 else 12, length, 0.35 if style.voice >= 0.5 else 0.8)),
        (color, _fill(frame)),
    ]
    if valence < -0.4:
        layers.append(("strings", [note for bar in range(frame.bars) for note in _chord(frame, bar, 0, STEPS, 0.3)]))
    elif valence > 0.4:
        layers.append(("bell", _vary(line, 12, 0.5, 0.3)))
    parts: dict[str, list[Note]] = {}
    for name, notes in layers:
        parts.setdefault(name, []).extend(notes)
    return parts


def _vary(line: list[Note], semitones: int, length: float, loudness: float) -> list[Note]:
    return [
        replace(note, length=note.length * length, pitch=note.pitch + semitones, loudness=loudness) for note in line
    ]


def _chord(frame: _Frame, bar: int, step: int, steps: int, loudness: float, late: float = 0.0) -> list[Note]:
    """The notes of the chord of a bar, each `late` seconds after the one below."""
    start, length = frame.time(bar, step), steps * frame.step_s
    return [Note(start + late * place, length, tone, loudness) for place, tone in enumerate(frame.triad(bar))]


def _fill(frame: _Frame) -> list[Note]:
    """A run down the chord in the second half of every bar."""
    return [
        Note(frame.time(bar, step), 2 * frame.step_s, pitch + 12, 0.7)
        for bar in range(frame.bars)
        for step, pitch in zip((8, 10, 12), reversed(frame.triad(bar)), strict=True)
    ]


def _accompany(frame: _Frame, style: Style) -> list[Note]:
    notes = []
    for bar in range(frame.bars):
        tones = frame.triad(bar)
        for number, (step, steps) in enumerate(STRUMS[style.strum]):
            start, length = frame.time(bar, step), steps * frame.step_s
            if style.strum in BROKEN:
                order = (0, 1, 2, 3, 2, 1)[number % 6] if style.strum != "tremolo" else 2
                pitch = ([*tones, tones[0] + 12])[order] + (12 if style.strum == "tremolo" else 0)
                notes.append(Note(start, length, pitch, 0.6))
            elif style.strum in ("power", "chug"):
                notes += [Note(start, length, tones[0] + below, 0.6) for below in (-12, -5)]
            else:
                notes += _chord(frame, bar, step, steps, 0.55, late=0.012 if style.strum == "strum" else 0.0)
    return notes


def _bass(frame: _Frame, style: Style) -> list[Note]:
    notes = []
    is_walking = style.swing > 0.25
    line = tuple((step, 4, degree) for step, degree in zip((0, 4, 8, 12), (0, 2, 4, 5), strict=True))
    for bar in range(frame.bars):
        chord = frame.chords[bar % len(frame.chords)] % len(frame.scale)
        for step, steps, degree in line if is_walking else BASS_LINES[style.strum]:
            pitch = frame.pitch(chord + degree * len(frame.scale) // 7)
            notes.append(Note(frame.time(bar, step), steps * frame.step_s, pitch, 0.8))
    return notes


def _melody(
    frame: _Frame, artist: np.random.Generator, melody: np.random.Generator, is_pentatonic: bool, energy: float
) -> list[Note]:
    """Two bars in the rhythm and the contour of the artist, which the track varies, over and over."""
    onsets = np.sort(artist.choice(np.arange(0, 32, 2), int(np.clip(9 + 3 * energy, 5, 13)), replace=False))
    moves = artist.integers(-2, 3, 32)[: len(onsets)]
    is_changed = melody.random(len(onsets)) < 0.35
    moves = np.where(is_changed, melody.integers(-2, 3, len(onsets)), moves)
    degrees = np.clip(int(melody.integers(0, 5)) + np.cumsum(moves), -3, 9)
    lengths = np.diff(np.r_[onsets, 32])
    notes = []
    for bar in range(0, frame.bars, 2):
        chord = frame.chords[bar % len(frame.chords)] % len(frame.scale)
        shift = chord if chord < 4 else chord - len(frame.scale)
        for onset, degree, steps in zip(onsets.tolist(), degrees.tolist(), lengths.tolist(), strict=True):
            place = degree + shift
            if is_pentatonic and len(frame.scale) == 7 and place % 7 in (3, 6):
                place -= 1
            start = frame.time(bar + onset // STEPS, onset % STEPS)
            notes.append(Note(start, min(steps, 6) * frame.step_s, frame.pitch(place) + 12, 1.0))
    return notes


def _drum(frame: _Frame, style: Style, energy: float) -> dict[str, list[tuple[float, float]]]:
    strokes: dict[str, list[tuple[float, float]]] = {}
    for name, pattern in style.drums.items():
        loudness = (0.65 + 0.35 * energy) * (0.8 if name in ("hat", "shaker", "ride") else 1.0)
        if energy < -0.7 and name == "hat":
            continue
        strokes[name] = [
            (frame.time(bar, step), loudness * (1.0 if mark == "x" else 0.5))
            for bar in range(frame.bars)
            for step, mark in enumerate(pattern)
            if mark != "."
        ]
    return strokes
