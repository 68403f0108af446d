"""The five facets of tracks, and the words that titles and lyrics are composed of."""

from __future__ import annotations

LANGUAGES = ("Mandarin", "Western", "Japanese", "Korean", "Cantonese")
STYLES = (
    *(
        "pop",
        "rock",
        "folk",
        "electronic",
        "dance",
        "rap",
        "light music",
        "jazz",
        "country",
        "R&B",
        "classical",
        "ethnic",
    ),
    *("britpop", "metal", "punk", "blues", "reggae", "world", "latin", "new age", "gufeng", "post-rock", "bossa nova"),
)
SCENES = ("morning", "night", "study", "work", "nap", "tea", "metro", "driving", "sport", "travel", "walk", "bar")
EMOTIONS = (
    *("nostalgic", "fresh", "romantic", "sad", "healing", "relaxed"),
    *("lonely", "moved", "excited", "happy", "quiet", "longing"),
)
THEMES = (
    *("variety show", "soundtrack", "ACG", "children", "campus", "games", "decades", "net songs", "KTV", "classics"),
    *("covers", "guitar", "piano", "instrumental", "charts"),
)
SOUNDTRACK = THEMES.index("soundtrack")

# Combinations of language and style that every simulation contains.
FIRST_INTERESTS = (
    ("Cantonese", "pop"),
    ("Western", "britpop"),
    ("Western", "electronic"),
    ("Mandarin", "folk"),
    ("Japanese", "rock"),
    ("Korean", "dance"),
    ("Mandarin", "gufeng"),
    ("Western", "jazz"),
)

# Parts of the day, with at most one session each, and their typical scenes.
DAY_PARTS: tuple[tuple[str, ...], ...] = (
    ("morning", "sport"),
    ("metro", "morning", "driving"),
    ("work", "study"),
    ("nap", "walk"),
    ("work", "tea", "study"),
    ("sport", "driving", "metro", "walk"),
    ("bar", "travel", "walk"),
    ("night", "study", "travel"),
)
DAY_PART_MINUTES = 135
FIRST_MINUTE = 5 * 60 + 30

ADJECTIVES = (
    *(
        "silver",
        "quiet",
        "golden",
        "broken",
        "early",
        "distant",
        "paper",
        "velvet",
        "northern",
        "electric",
        "little",
        "hollow",
    ),
    *(
        "crimson",
        "gentle",
        "restless",
        "winter",
        "summer",
        "midnight",
        "open",
        "secret",
        "slow",
        "bright",
        "second",
        "foreign",
    ),
)
NOUNS = (
    *(
        "river",
        "lantern",
        "harbour",
        "garden",
        "mirror",
        "train",
        "window",
        "letter",
        "island",
        "shadow",
        "season",
        "station",
    ),
    *(
        "ocean",
        "street",
        "signal",
        "feather",
        "mountain",
        "promise",
        "city",
        "engine",
        "forest",
        "balcony",
        "orchard",
        "comet",
    ),
)
COLLECTIVES = ("", " Band", " Trio", " Sisters", " Ensemble", " Club", " Brothers", " Orchestra")
