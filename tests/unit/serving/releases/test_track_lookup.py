"""Tracks of names come from the release that serves the user."""

from types import SimpleNamespace

from config import settings
from serving.releases.track_lookup import TrackLookup
from tests.support.serving.small_release import release, tracks


def test_names_are_those_of_the_release_that_serves_the_user():
    production, canary = release(tracks(4), []), release(tracks(3), [], release_id="canary")
    releases = SimpleNamespace(
        releases=[production, canary], serving_release={"u": production, "v": canary}.__getitem__
    )
    lookup = TrackLookup(settings.load_settings(), releases)
    names = [("Song 1", "Artist 0"), ("SONG  3", " artist 1"), ("Song 3", "Artist 0"), ("", ""), ("Song 9", "Artist 4")]
    assert lookup.find_by_names(names, "u") == ["t1", "t3", None, None, None]
    assert lookup.find_by_names(names[:2], "v") == ["t1", None]
