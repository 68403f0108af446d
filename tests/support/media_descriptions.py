"""Hand-made descriptions of media."""

from media.track_description import TrackDescription


def described(**changes: object) -> TrackDescription:
    """A Western pop track, with changes; the cover of its album has the shape of the style, and lettering."""
    fields = {
        "seed": 7,
        "recording": "r1",
        "artist": "a1",
        "album": "l3",
        "title": "Silver River",
        "language": "Western",
        "style": "pop",
        "emotions": ("happy",),
    }
    return TrackDescription(**(fields | changes))  # type: ignore[arg-type]
