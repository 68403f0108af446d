"""How each style and emotion sounds and looks: the tables that previews and covers are rendered from.

Drum patterns have 16 steps per bar: `x` a stroke, `o` a soft one, `.` none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
    "phrygian": (0, 1, 4, 5, 7, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "blues": (0, 3, 5, 6, 7, 10),
}
"""Semitones above the key."""


@dataclass(frozen=True)
class Look:
    """Look of the covers of one style."""

    hue: float  # 0 to 1
    saturation: float  # 0 to 1
    shape: str
    texture: str


@dataclass(frozen=True)
class Style:
    """Sound of one style, and its look."""

    tempo: tuple[float, float]  # beats per minute
    bright: str  # scale of tracks in a happy mood
    dark: str  # scale of tracks in a sad mood
    chords: str  # instrument of the accompaniment
    strum: str  # how it plays: block, strum, arpeggio, offbeat, pad, power
    leads: tuple[str, ...]  # instruments of the melody, of which an artist has one
    bass: str  # instrument of the bass
    drums: dict[str, str]  # pattern of each drum
    look: Look
    voice: float = 0.0  # loudness of the voice, 0 to 1
    swing: float = 0.0  # delay of every second step, 0 to 0.33 of two steps
    drive: float = 0.0  # distortion, 0 to 1
    space: float = 0.0  # reverberation, 0 to 1


_BACKBEAT = "....x.......x..."

STYLES = {
    "pop": Style(
        (100, 122),
        "major",
        "minor",
        "piano",
        "block",
        ("square", "bell"),
        "electric bass",
        {"kick": "x.....x.x.......", "snare": _BACKBEAT, "clap": _BACKBEAT, "hat": "x.x.x.x.x.x.x.x."},
        Look(0.92, 0.75, "circles", "gradient"),
        voice=0.9,
        space=0.25,
    ),
    "rock": Style(
        (118, 142),
        "mixolydian",
        "minor",
        "overdriven guitar",
        "power",
        ("electric guitar",),
        "electric bass",
        {"kick": "x.......x.x.....", "snare": _BACKBEAT, "hat": "x.x.x.x.x.x.x.x.", "crash": "x..............."},
        Look(0.02, 0.7, "rays", "grain"),
        voice=0.6,
        drive=0.55,
        space=0.15,
    ),
    "folk": Style(
        (84, 104),
        "major",
        "dorian",
        "acoustic guitar",
        "strum",
        ("reed", "flute"),
        "upright bass",
        {"shaker": "x.xxx.xxx.xxx.xx", "low drum": "x.......o......."},
        Look(0.11, 0.4, "bars", "gradient"),
        voice=0.7,
        space=0.2,
    ),
    "electronic": Style(
        (122, 134),
        "minor",
        "minor",
        "saw pad",
        "pad",
        ("saw pad", "square"),
        "synth bass",
        {"kick": "x...x...x...x...", "clap": _BACKBEAT, "hat": "..x...x...x...x."},
        Look(0.55, 0.9, "bars", "grain"),
        voice=0.15,
        drive=0.2,
        space=0.35,
    ),
    "dance": Style(
        (124, 132),
        "major",
        "minor",
        "saw pad",
        "offbeat",
        ("square", "bell"),
        "synth bass",
        {"kick": "x...x...x...x...", "clap": _BACKBEAT, "hat": "xoxoxoxoxoxoxoxo", "cowbell": "..x..x....x..x.."},
        Look(0.86, 1.0, "bars", "gradient"),
        voice=0.6,
        drive=0.1,
        space=0.15,
    ),
    "rap": Style(
        (80, 96),
        "minor",
        "phrygian",
        "bell",
        "block",
        ("electric piano",),
        "sub bass",
        {"deep kick": "x..x..x...x.....", "clap": _BACKBEAT, "hat": "x.x.x.xxx.x.xxxx"},
        Look(0.14, 0.9, "bars", "grain"),
        voice=1.0,
        drive=0.15,
        space=0.05,
    ),
    "light music": Style(
        (66, 80),
        "major",
        "major",
        "strings",
        "pad",
        ("piano", "flute"),
        "strings",
        {},
        Look(0.48, 0.3, "waves", "gradient"),
        voice=0.1,
        space=0.5,
    ),
    "jazz": Style(
        (128, 168),
        "dorian",
        "dorian",
        "piano",
        "block",
        ("trumpet", "reed"),
        "upright bass",
        {"ride": "x...x..xx...x..x", "snare": "....o.......o...", "kick": "o..............."},
        Look(0.62, 0.5, "stripes", "grain"),
        voice=0.15,
        swing=0.3,
        space=0.2,
    ),
    "country": Style(
        (104, 126),
        "mixolydian",
        "major",
        "acoustic guitar",
        "offbeat",
        ("reed", "pluck"),
        "upright bass",
        {"kick": "x...x...x...x...", "snare": "oox.oox.oox.oox."},
        Look(0.09, 0.65, "rays", "gradient"),
        voice=0.7,
        space=0.1,
    ),
    "R&B": Style(
        (64, 82),
        "dorian",
        "minor",
        "electric piano",
        "block",
        ("electric piano", "bell"),
        "sub bass",
        {"deep kick": "x......x..x.....", "clap": _BACKBEAT, "hat": "o.xoo.x.o.xoo.x."},
        Look(0.76, 0.6, "circles", "gradient"),
        voice=1.0,
        swing=0.2,
        space=0.3,
    ),
    "classical": Style(
        (72, 108),
        "major",
        "harmonic",
        "strings",
        "arpeggio",
        ("strings", "reed"),
        "strings",
        {},
        Look(0.1, 0.25, "stripes", "gradient"),
        space=0.6,
    ),
    "ethnic": Style(
        (92, 112),
        "phrygian",
        "harmonic",
        "sitar",
        "arpeggio",
        ("reed", "sitar"),
        "drone",
        {"low drum": "x.....x...x.....", "high drum": "..xox.x.x.x.xoxo"},
        Look(0.04, 0.85, "rays", "gradient"),
        voice=0.4,
        space=0.2,
    ),
    "britpop": Style(
        (110, 128),
        "major",
        "mixolydian",
        "electric guitar",
        "strum",
        ("organ", "electric guitar"),
        "electric bass",
        {"kick": "x.......x.......", "snare": _BACKBEAT, "hat": "x.x.x.x.x.x.x.x."},
        Look(0.6, 0.7, "stripes", "grain"),
        voice=0.85,
        drive=0.2,
        space=0.2,
    ),
    "metal": Style(
        (150, 184),
        "phrygian",
        "phrygian",
        "overdriven guitar",
        "chug",
        ("overdriven guitar",),
        "electric bass",
        {"kick": "xxxxxxxxxxxxxxxx", "snare": _BACKBEAT, "crash": "x.......x......."},
        Look(0.0, 0.1, "rays", "grain"),
        voice=0.35,
        drive=1.0,
        space=0.1,
    ),
    "punk": Style(
        (172, 200),
        "major",
        "minor",
        "overdriven guitar",
        "power",
        ("overdriven guitar",),
        "electric bass",
        {"kick": "x..xx...x..xx...", "snare": "..x...x...x...x.", "crash": "x...x...x...x..."},
        Look(0.33, 1.0, "bars", "grain"),
        voice=0.8,
        drive=0.8,
    ),
    "blues": Style(
        (70, 92),
        "blues",
        "blues",
        "organ",
        "block",
        ("electric guitar", "reed"),
        "upright bass",
        {"kick": "x.....x.x.....x.", "snare": _BACKBEAT, "ride": "x..xx..xx..xx..x"},
        Look(0.63, 0.85, "bars", "grain"),
        voice=0.5,
        swing=0.33,
        drive=0.3,
        space=0.2,
    ),
    "reggae": Style(
        (70, 84),
        "mixolydian",
        "minor",
        "organ",
        "offbeat",
        ("reed", "electric guitar"),
        "sub bass",
        {"kick": "........x.......", "snare": "........x.......", "hat": "x.x.x.x.x.x.x.xo"},
        Look(0.3, 0.9, "stripes", "gradient"),
        voice=0.7,
        swing=0.15,
        space=0.4,
    ),
    "world": Style(
        (100, 120),
        "pentatonic",
        "dorian",
        "marimba",
        "arpeggio",
        ("marimba", "flute"),
        "upright bass",
        {"low drum": "x..x....x..x....", "high drum": "..x..xx...x..xx.", "shaker": "xoxoxoxoxoxoxoxo"},
        Look(0.07, 0.95, "rays", "gradient"),
        voice=0.45,
        space=0.15,
    ),
    "latin": Style(
        (94, 112),
        "harmonic",
        "minor",
        "piano",
        "montuno",
        ("trumpet", "acoustic guitar"),
        "electric bass",
        {
            "woodblock": "x..x..x...x.x...",
            "high drum": "..x...xx..x...xx",
            "cowbell": "x.x.xx.x.x.xx.x.",
            "low drum": "......x.......x.",
        },
        Look(0.99, 0.95, "waves", "grain"),
        voice=0.7,
        space=0.1,
    ),
    "new age": Style(
        (52, 64),
        "pentatonic",
        "pentatonic",
        "choir",
        "pad",
        ("bell", "flute"),
        "drone",
        {},
        Look(0.5, 0.45, "circles", "grain"),
        space=0.9,
    ),
    "gufeng": Style(
        (66, 84),
        "pentatonic",
        "pentatonic",
        "zither",
        "arpeggio",
        ("erhu", "flute"),
        "strings",
        {"low drum": "x...............", "woodblock": "........x.....o."},
        Look(0.42, 0.25, "waves", "grain"),
        voice=0.5,
        space=0.4,
    ),
    "post-rock": Style(
        (72, 92),
        "major",
        "minor",
        "electric guitar",
        "tremolo",
        ("electric guitar",),
        "electric bass",
        {"low drum": "x..o..x.x..o..x.", "crash": "x.......o......."},
        Look(0.58, 0.2, "waves", "gradient"),
        drive=0.45,
        space=0.9,
    ),
    "bossa nova": Style(
        (118, 136),
        "major",
        "dorian",
        "acoustic guitar",
        "bossa",
        ("flute", "acoustic guitar"),
        "upright bass",
        {"woodblock": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo", "kick": "o..oo..oo..oo..o"},
        Look(0.13, 0.7, "circles", "grain"),
        voice=0.6,
        space=0.15,
    ),
}

EMOTIONS = {
    "nostalgic": (-0.2, -0.3),
    "fresh": (0.7, 0.2),
    "romantic": (0.5, -0.2),
    "sad": (-0.9, -0.6),
    "healing": (0.4, -0.6),
    "relaxed": (0.5, -0.8),
    "lonely": (-0.8, -0.5),
    "moved": (0.0, 0.4),
    "excited": (0.6, 1.0),
    "happy": (1.0, 0.6),
    "quiet": (0.1, -1.0),
    "longing": (-0.5, -0.1),
}
"""Valence (sad to happy) and energy (calm to excited) of each emotion, -1 to 1."""


def mood(emotions: tuple[str, ...]) -> tuple[float, float]:
    """Mean valence and energy of emotions; neutral without any."""
    moods = [EMOTIONS[emotion] for emotion in emotions] or [(0.0, 0.0)]
    valence, energy = np.mean(moods, axis=0).tolist()
    return valence, energy
