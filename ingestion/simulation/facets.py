"""The five facets of a song, and the words that songs of a facet are made of."""

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

# Language and style go together in the first interests, so that every world, however small, has these.
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

# The parts of a day in which a listener may have a session, and what people do in them.
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
